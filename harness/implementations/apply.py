# SPDX-License-Identifier: MIT
"""Applies the patches of a posting to sources, with git, in a repository that is thrown away.

No configuration and no hook of the user has an effect there: git gets an environment of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.errors import UsageError
from harness.git import run_git
from harness.mail.model import FileChange, PostedPatch

__all__ = ["Applied", "apply_patches", "refuse_name"]

_NAME = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}(?:/[A-Za-z0-9_][A-Za-z0-9_.+-]{0,254}){0,15}"
)
_FAILED = re.compile(r"^error: patch failed: (?P<file>.+):(?P<line>\d+)$", re.MULTILINE)
_LESS_CONTEXT = "-C1"
_SECONDS = 60
_MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Applied:
    """The sources after all patches, and notes on how they were applied."""

    files: Mapping[str, str]
    notes: tuple[str, ...] = ()


def refuse_name(name: str) -> None:
    """Raise :class:`UsageError` for a path that no file of a kernel tree has."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the patch names the file {name[:200]!r}, which is no path in a kernel tree",
            hint="paths are relative, and consist of letters, digits and the characters _ . + - /",
        )


def apply_patches(
    files: Mapping[str, str],
    patches: Sequence[PostedPatch],
    chosen: Iterable[FileChange],
    *,
    reverse: bool = False,
) -> Applied:
    """Apply ``patches`` in their order to ``files``; of each, only the ``chosen`` changes.

    With ``reverse`` it undoes them, the last one first. A patch that does not apply is tried again
    with one line of context for each hunk; a note says so. Raises :class:`UsageError` with git's
    words, the patch and the first hunk that failed.
    """
    wanted = {change.new or change.old for change in chosen}
    notes = []
    with tempfile.TemporaryDirectory(prefix="tsm-harness-patch-") as name:
        tree = Path(name).resolve()
        _write(tree, files)
        _git(tree, ["init", "--quiet", "--template="], b"")
        numbered = list(enumerate(patches, 1))
        for number, patch in reversed(numbered) if reverse else numbered:
            names = sorted({each.new or each.old for each in patch.changes} & wanted)
            position = f"{number} of {len(patches)}"
            if names and not _apply(tree, patch, names, position, reverse=reverse):
                notes.append(
                    f"applied with one line of context for each hunk, since the exact patch does "
                    f"not apply: {patch.subject or f'patch {number}'}"
                )
        return Applied(_read(tree), tuple(notes))


def _apply(
    tree: Path, patch: PostedPatch, names: Sequence[str], position: str, *, reverse: bool
) -> bool:
    """Whether the patch applied exactly; raises :class:`UsageError` when it does not at all."""
    command = ["apply", "--whitespace=nowarn", *(f"--include={name}" for name in names)]
    command += ["--reverse"] if reverse else []
    exact = _git(tree, command, patch.diff)
    if exact.returncode == 0:
        return True
    if _git(tree, [*command, _LESS_CONTEXT], patch.diff).returncode == 0:
        return False
    words = exact.stderr.decode("utf-8", "replace").strip()
    lines = [f"patch {position}: {patch.subject}".rstrip(": "), *words.splitlines()[-20:]]
    lines += [f"hunk: {hunk}" for hunk in _failed_hunks(words, patch.diff)]
    raise UsageError("\n".join(f"  {line}" for line in lines))


def _failed_hunks(words: str, diff: bytes) -> Iterator[str]:
    """The headers of the hunks that git names by file and line."""
    text = diff.decode("utf-8", "replace")
    for failed in _FAILED.finditer(words):
        _, found, part = text.partition(f"\n--- a/{failed['file']}\n")
        part = part.partition("\n--- ")[0] if found else ""
        header = re.search(rf"^@@ -{failed['line']}(?:,\d+)? .*$", part, re.MULTILINE)
        if header:
            yield f"{header[0]} in {failed['file']}"


def _write(tree: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        refuse_name(name)
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")


def _read(tree: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted(tree.rglob("*")):
        name = PurePosixPath(path.relative_to(tree).as_posix())
        if name.parts[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_BYTES:
            raise UsageError(
                f"the patch makes {name} something else than a file of at most "
                f"{_MAX_BYTES >> 20} MiB",
                hint="the sources of a module are plain files",
            )
        found[str(name)] = path.read_bytes().decode("utf-8", "replace")
    return found


def _git(tree: Path, arguments: Sequence[str], data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run git with nothing of the user's configuration."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(tree),
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CEILING_DIRECTORIES": str(tree.parent),
    }
    return run_git(["git", "-C", str(tree), *arguments], environment, data, _SECONDS)
