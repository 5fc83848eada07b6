# SPDX-License-Identifier: MIT
"""Builds kernel source trees in a directory of the cache, and again only what changed.

The tree may be a stranger's: make, git and kconfig are confined (:mod:`harness.sandbox`) to the
tree, which they can only read, and to the directory of the build.
"""

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
from harness.detectors import SANITIZERS
from harness.errors import BuildError, HostError, TsmHarnessError, UsageError
from harness.git import confined_git, repository_paths
from harness.kernels.build_output import discard_damaged, output_digests
from harness.kernels.kconfig import explain_lost, lost_symbols, read_fragment
from harness.kernels.model import Kernel, parse_config
from harness.kernels.source import fetch_source
from harness.kernels.spec import KernelTree, PackagedSource
from harness.kernels.toolchain import compiler_version
from harness.progress import Progress, Step
from harness.sandbox import confine, confined_environment, writable

__all__ = ["build_tree", "tree_identity"]

_LAYOUT = "1"
_TOOLS = {"make": "make", "gcc": "gcc", "ld": "binutils", "flex": "flex", "bison": "bison",
          "bc": "bc"}  # fmt: skip
_HEADERS = {"/usr/include/gelf.h": "libelf-dev"}
_STAMP = ".tsm-harness.json"
_LINES_KEPT = 400
_COMPILER = "gcc"
_GIT_SECONDS = 120
_RELEASE = re.compile(r"\d[\w.+~-]{0,100}")
_STEP = re.compile(r"^\s+[A-Z][A-Z\d-]*( \[M\])?\s+(?P<what>\S.*)")


def build_tree(
    named: KernelTree,
    cache: Cache,
    progress: Progress,
    *,
    config: Path | None = None,
    trusted: bool = False,
) -> Kernel:
    """Build a source tree and return its kernel; nothing is written into the tree.

    The configuration is tinyconfig, or the user's own ``config``, plus the project's fragments and
    the settings of each sanitizer. Objects are kept, so that make builds again only what changed;
    with ``trusted`` an earlier build is used without a check. Raises :class:`BuildError` with the
    compiler's messages, or with the settings that olddefconfig dropped and the dependency of each.
    """
    source = _source(named, cache, progress)
    base = _base_config(config)
    inputs = (_LAYOUT, str(source), named.sanitizers, hashlib.sha256(base.encode()).hexdigest())
    with cache.lock(f"build/{hashlib.sha256(repr(inputs).encode()).hexdigest()[:16]}") as out:
        stamp, identity = out / _STAMP, _identity(named, source)
        if not trusted:
            discard_damaged(out, stamp)
        if not (trusted and stamp.exists()) and not _is_current(stamp, identity):
            _require_tools()
            stamp.unlink(missing_ok=True)
            _configure(source, out, base, named.sanitizers)
            with progress.step(f"building {named.name}") as step:
                _make(source, out, ("bzImage", "modules"), step)
            record = {"identity": identity, "files": output_digests(out)}
            stamp.write_text(json.dumps(record), encoding="utf-8")
        return _kernel(named.name, out)


def tree_identity(tree: Path) -> str | None:
    """SHA-256 of a git tree's content, uncommitted changes included; None without git.

    Untracked files are not part of it.
    """
    commands = (
        ("rev-parse", "HEAD^{tree}"),
        ("diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary"),
    )
    digest = hashlib.sha256()
    try:
        for arguments in commands:
            digest.update(confined_git(tree, *arguments, seconds=_GIT_SECONDS))
    except TsmHarnessError:
        return None
    return digest.hexdigest()


def _source(named: KernelTree, cache: Cache, progress: Progress) -> Path:
    if isinstance(named.source, PackagedSource):
        return fetch_source(named.source, cache, progress)
    if (named.source / ".config").exists() or (named.source / "include/config").exists():
        raise UsageError(
            f"{named.source} was built in place, so make refuses to build it in another directory",
            hint="run `make mrproper` in the tree; it deletes .config, so copy .config first and "
            "pass the copy with --kernel-config",
        )
    return named.source


def _identity(named: KernelTree, source: Path) -> str | None:
    """SHA-256 of what the build depends on; None when the tree's content is unknown."""
    packaged = isinstance(named.source, PackagedSource)
    tree = str(source) if packaged else tree_identity(source)
    if tree is None:
        return None
    fragments = [read_fragment("small"), read_fragment("lines"), *_required(named.sanitizers)]
    inputs = repr((_LAYOUT, tree, fragments, compiler_version(_COMPILER)))
    return hashlib.sha256(inputs.encode()).hexdigest()


def _is_current(stamp: Path, identity: str | None) -> bool:
    try:
        built = json.loads(stamp.read_bytes())["identity"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return identity is not None and built == identity


def _required(sanitizers: Sequence[str]) -> tuple[str, ...]:
    """The fragments whose every setting must survive."""
    return (read_fragment("base"), *(SANITIZERS[name].fragment for name in sanitizers))


def _base_config(config: Path | None) -> str:
    """The text of the user's own configuration; empty for tinyconfig."""
    try:
        return config.read_text(encoding="utf-8", errors="replace") if config else ""
    except OSError as error:
        raise UsageError(f"cannot read {config}: {error.strerror}") from error


def _configure(source: Path, out: Path, base: str, sanitizers: Sequence[str]) -> None:
    """Write the configuration, and check that every required setting is in the result.

    Kconfig drops a setting with an unmet dependency without a message: SLUB_TINY of tinyconfig
    drops KASAN, for example.
    """
    file = out / ".config"
    required = "\n".join(_required(sanitizers))
    if base:
        file.write_text(base, encoding="utf-8")
        optional = read_fragment("lines")
    else:
        _make(source, out, ("tinyconfig",))
        optional = f"{read_fragment('small')}\n{read_fragment('lines')}"
    with file.open("a", encoding="utf-8") as stream:
        stream.write(f"\n{optional}\n{required}")
    _make(source, out, ("olddefconfig",))
    lost = lost_symbols(required, file.read_text(encoding="utf-8"))
    if lost:
        lines = "\n".join(f"  {line}" for line in explain_lost(source, file, lost, _COMPILER))
        raise BuildError(
            f"the kernel's configuration lost settings that the run needs:\n{lines}",
            hint="use a tree that has these symbols, or a configuration that allows them",
        )


def _require_tools() -> None:
    missing = [package for tool, package in _TOOLS.items() if not shutil.which(tool)]
    missing += [package for file, package in _HEADERS.items() if not Path(file).exists()]
    if missing:
        raise HostError(
            f"building a kernel tree needs {', '.join(missing)}",
            hint=f"as root: apt-get install {' '.join(missing)}",
        )


def _make(source: Path, out: Path, goals: Sequence[str], step: Step | None = None) -> None:
    """Run make and show its progress in ``step``; raises :class:`BuildError` with its errors."""
    command = ["make", "-C", str(source), f"O={out}", "ARCH=x86_64", *goals]
    command.append(f"-j{len(os.sched_getaffinity(0)) + 1}")
    # Reproducible metadata: templates are keyed by the content of the image.
    fixed = {"KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_USER": "tsm",
             "KBUILD_BUILD_HOST": "harness", "KBUILD_BUILD_VERSION": "1"}  # fmt: skip
    output: deque[str] = deque(maxlen=_LINES_KEPT)
    with writable(out, links=[out / "source"]):
        status = _run(
            confine(command, writable=[out], readable=repository_paths(source)),
            confined_environment(out) | fixed,
            output,
            step,
        )
    if status:
        errors = [line for line in output if re.search(r"error|\*\*\*|No space|not found", line)]
        shown = "\n".join(errors[:20]) or "\n".join(list(output)[-5:])
        raise BuildError(f"make {' '.join(goals)} failed:\n{shown.replace(str(out) + '/', '')}")


def _run(
    command: list[str], environment: dict[str, str], output: deque[str], step: Step | None
) -> int:
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        _read_output(process, output, step)
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    return process.returncode


def _read_output(process: subprocess.Popen[str], output: deque[str], step: Step | None) -> None:
    assert process.stdout is not None
    done = 0
    for line in process.stdout:
        output.append(line.rstrip("\n")[:500])
        if step is not None and (found := _STEP.match(line)):
            done += 1
            step.describe(f"building: {done} steps, {found['what'][:50]}")
    process.wait()


def _kernel(spec: str, out: Path) -> Kernel:
    image, config = out / "arch/x86/boot/bzImage", out / ".config"
    recorded = (out / "include/config/kernel.release").read_text(encoding="ascii", errors="replace")
    release = recorded.strip()
    if not _RELEASE.fullmatch(release):
        raise BuildError(f"the tree's build has no valid release: {release[:80]!r}")
    return Kernel(spec, release, image, out, out, parse_config(config.read_text(encoding="utf-8")))
