# SPDX-License-Identifier: MIT
"""Kernel trees: configured and built beside themselves, again only where something changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError, HostError, TsmHarnessError, UsageError
from harness.git import git_bytes
from harness.kernels.kconfig import explain, fragment, lost
from harness.kernels.model import Kernel, parse_config
from harness.kernels.source import fetch_source
from harness.kernels.spec import KernelTree, PackagedSource
from harness.kernels.toolchain import compiler_version
from harness.progress import Progress, Step

__all__ = ["build_tree", "tree_identity"]

_LAYOUT = "1"
_TOOLS = {"make": "make", "gcc": "gcc", "ld": "binutils", "flex": "flex", "bison": "bison",
          "bc": "bc"}  # fmt: skip
_HEADERS = {"/usr/include/gelf.h": "libelf-dev"}
_STAMP = ".tsm-harness.json"
_KEPT_LINES = 400
_GOOD_TO_HAVE, _SMALL = ("lines",), "small"
_GIT_SECONDS = 120
_STEP = re.compile(r"^\s+[A-Z][A-Z\d-]*( \[M\])?\s+(?P<what>\S.*)")


def build_tree(
    named: KernelTree,
    cache: Cache,
    progress: Progress,
    *,
    config: Path | None = None,
    trusted: bool = False,
) -> Kernel:
    """The kernel of a source tree, built out of it: nothing is written into the tree.

    On top of tinyconfig, or of the user's own ``config``, come the project's fragments and one for
    each sanitizer. Objects are kept, so that what did not change is not built again; with
    ``trusted`` what was built last is taken as it is. Raises :class:`BuildError` with the
    compiler's words, or with the symbols that did not survive and what dropped them.
    """
    source = _source(named, cache, progress)
    base = _base_config(config)
    words = (_LAYOUT, str(source), named.sanitizers, hashlib.sha256(base.encode()).hexdigest())
    with cache.lock(f"build/{hashlib.sha256(repr(words).encode()).hexdigest()[:16]}") as out:
        stamp, identity = out / _STAMP, _identity(named, source)
        if not (trusted and stamp.exists()) and not _is_current(stamp, identity):
            _need_tools()
            stamp.unlink(missing_ok=True)
            notes = _configure(source, out, base, named.sanitizers)
            with progress.step(f"building {named.name}") as step:
                _make(source, out, ("bzImage", "modules"), step)
            stamp.write_text(json.dumps({"identity": identity, "notes": notes}), encoding="utf-8")
        return _kernel(named.name, out)


def tree_identity(tree: Path) -> str | None:
    """What a git tree holds at this moment, changes included; None for a directory without git.

    Files that git does not know are not looked at.
    """
    commands = (("rev-parse", "HEAD^{tree}"), ("diff", "HEAD", "--no-ext-diff", "--binary"))
    digest = hashlib.sha256()
    try:
        for words in commands:
            digest.update(git_bytes(tree, *words, seconds=_GIT_SECONDS))
    except TsmHarnessError:
        return None
    return digest.hexdigest()


def _source(named: KernelTree, cache: Cache, progress: Progress) -> Path:
    if isinstance(named.source, PackagedSource):
        return fetch_source(named.source, cache, progress)
    if (named.source / ".config").exists() or (named.source / "include/config").exists():
        raise UsageError(
            f"{named.source} was built in place, so it cannot be built beside itself",
            hint="run `make mrproper` there (its .config is lost: copy it and use --kernel-config)",
        )
    return named.source


def _identity(named: KernelTree, source: Path) -> str | None:
    """What the build depends on besides its directory; None when that cannot be told."""
    packaged = isinstance(named.source, PackagedSource)
    tree = str(source) if packaged else tree_identity(source)
    if tree is None:
        return None
    fragments = [fragment(name) for name in (_SMALL, *_fragments(named.sanitizers))]
    words = repr((_LAYOUT, tree, fragments, compiler_version("gcc")))
    return hashlib.sha256(words.encode()).hexdigest()


def _is_current(stamp: Path, identity: str | None) -> bool:
    try:
        built = json.loads(stamp.read_bytes())["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return identity is not None and built == identity


def _fragments(sanitizers: Sequence[str]) -> tuple[str, ...]:
    return ("base", *_GOOD_TO_HAVE, *sanitizers)


def _base_config(config: Path | None) -> str:
    """The text of the user's own configuration; empty for tinyconfig."""
    try:
        return config.read_text(encoding="utf-8", errors="replace") if config else ""
    except OSError as error:
        raise UsageError(f"cannot read {config}: {error.strerror}") from error


def _configure(source: Path, out: Path, base: str, sanitizers: Sequence[str]) -> list[str]:
    """Write the configuration, and see what survived; what is only good to have is returned."""
    file = out / ".config"
    if base:
        file.write_text(base, encoding="utf-8")
    else:
        _make(source, out, ("tinyconfig",))
        with file.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{fragment(_SMALL)}")
    texts = {name: fragment(name) for name in _fragments(sanitizers)}
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(f"\n{text}" for text in texts.values())
    _make(source, out, ("olddefconfig",))
    final = file.read_text(encoding="utf-8")
    needed = [s for name, text in texts.items() if name not in _GOOD_TO_HAVE
              for s in lost(text, final)]  # fmt: skip
    if needed:
        told = "\n".join(f"  {line}" for line in explain(source, file, needed, "gcc"))
        raise BuildError(
            f"the configuration does not hold what the run needs:\n{told}",
            hint="the tree may be too old for it, or the configuration given forbids it",
        )
    missed = [symbol for name in _GOOD_TO_HAVE for symbol in lost(texts[name], final)]
    return explain(source, file, missed, "gcc") if missed else []


def _need_tools() -> None:
    missing = [package for tool, package in _TOOLS.items() if not shutil.which(tool)]
    missing += [package for file, package in _HEADERS.items() if not Path(file).exists()]
    if missing:
        raise HostError(
            f"a kernel tree cannot be built without {', '.join(missing)}",
            hint=f"as root: apt-get install {' '.join(missing)}",
        )


def _make(source: Path, out: Path, goals: Sequence[str], step: Step | None = None) -> None:
    """Run make; ``step`` is told what it does. Raises :class:`BuildError` with its words."""
    # Who is killed has no time to end what it started.
    command = ["setpriv", "--pdeathsig", "TERM", "make", "-C", str(source), f"O={out}"]
    command += ["ARCH=x86_64", *goals]
    command.append(f"-j{len(os.sched_getaffinity(0)) + 1}")
    # Nothing that changes without a change: the image's content is what templates are kept by.
    fixed = {"KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_USER": "tsm",
             "KBUILD_BUILD_HOST": "harness", "KBUILD_BUILD_VERSION": "1"}  # fmt: skip
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(out), "LC_ALL": "C"}
    said: deque[str] = deque(maxlen=_KEPT_LINES)
    process = subprocess.Popen(
        command,
        env=environment | fixed,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        _listen(process, said, step)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    if process.returncode:
        words = [line for line in said if re.search(r"error|\*\*\*|No space|not found", line)]
        shown = "\n".join(words[:20]) or "\n".join(list(said)[-5:])
        raise BuildError(f"make {' '.join(goals)} failed:\n{shown.replace(str(out) + '/', '')}")


def _listen(process: subprocess.Popen[str], said: deque[str], step: Step | None) -> None:
    assert process.stdout is not None
    done = 0
    for line in process.stdout:
        said.append(line.rstrip("\n")[:500])
        if step is not None and (match := _STEP.match(line)):
            done += 1
            step.describe(f"building: {done} steps, {match['what'][:50]}")
    process.wait()


def _kernel(spec: str, out: Path) -> Kernel:
    image, config = out / "arch/x86/boot/bzImage", out / ".config"
    release = (out / "include/config/kernel.release").read_text(encoding="ascii").strip()
    return Kernel(spec, release, image, out, out, parse_config(config.read_text(encoding="utf-8")))
