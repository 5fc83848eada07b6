# SPDX-License-Identifier: MIT
"""Runs git, away from what a user's environment makes of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import HostError, TsmHarnessError, UsageError

__all__ = ["bisecting", "git", "git_bytes", "git_succeeds", "temporary_worktree"]

_SECONDS = 600
# A hook or an outer git says where its repository is; here the directory does.
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


def git(directory: Path, *words: str, data: bytes | None = None) -> str:
    """What git prints; raises :class:`UsageError` with its words when it fails."""
    return git_bytes(directory, *words, data=data).decode("utf-8", "replace")


def git_bytes(
    directory: Path, *words: str, data: bytes | None = None, seconds: float = _SECONDS
) -> bytes:
    """The same, as it comes, in at most so many ``seconds``."""
    done = _run(directory, words, data, seconds)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
        raise UsageError(f"git {words[0]} in {directory}: {said[-1000:]}")
    return done.stdout


def git_succeeds(directory: Path, *words: str, data: bytes | None = None) -> bool:
    """Whether git ends with status 0."""
    return _run(directory, words, data).returncode == 0


def bisecting(directory: Path) -> bool:
    """Whether ``git bisect`` is going on in the repository that ``directory`` is of."""
    try:
        file = git(directory, "rev-parse", "--git-path", "BISECT_START").strip()
    except TsmHarnessError:
        return False
    return (directory / file).exists()


@contextmanager
def temporary_worktree(repository: Path, revision: str, where: Path) -> Iterator[Path]:
    """A detached working tree of ``revision`` below ``where``; the user's own is not touched."""
    tree = where / "tree"
    git(repository, "worktree", "add", "--quiet", "--detach", str(tree), revision)
    try:
        yield tree
    finally:
        _run(repository, ("worktree", "remove", "--force", str(tree)), None)


def _run(
    directory: Path, words: Sequence[str], data: bytes | None, seconds: float = _SECONDS
) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    try:
        return subprocess.run(
            ["git", "-C", str(directory), *words],
            env=environment,
            input=data if data is not None else b"",
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError("this host has no git", hint="install the package git") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"git {words[0]} did not end in {seconds} s") from error
