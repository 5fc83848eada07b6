# SPDX-License-Identifier: MIT
"""The sources that a kernel under test was built of, as far as patches to the interface need them.

A kernel that was built from a tree has that tree. A packaged kernel has the package
``linux-source-X.Y`` of exactly its version, which the image names; only the files of ``_PATTERNS``
are kept of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from harness.cache import Cache
from harness.errors import UsageError
from harness.kernels.bzimage import packaged_version
from harness.kernels.model import Kernel
from harness.kernels.source import fetch_source
from harness.kernels.spec import PackagedSource, suites_of
from harness.progress import Progress

__all__ = ["KernelSource", "kernel_source", "read_source"]

_PATTERNS = ("drivers/virt/coco/*", "include/linux/tsm*.h")
_CODE = (".c", ".h", ".S")
_BUILD_FILES = ("Makefile", "Kbuild", "Kconfig")
_MAX_BYTES = 4 << 20
_BASE_HINT = "name the sources with --base tree:PATH"


@dataclass(frozen=True)
class KernelSource:
    """The files by their path in the kernel's tree; ``origin`` names the package or the tree."""

    files: tuple[tuple[str, str], ...] = field(repr=False)
    origin: str


def kernel_source(kernel: Kernel, cache: Cache, progress: Progress) -> KernelSource:
    """Return the sources of ``kernel``, fetched when the cache lacks them.

    Raises :class:`UsageError` when nothing tells which they are, and
    :class:`harness.errors.HostError` when the package cannot be fetched.
    """
    for tree in (kernel.build / "source", kernel.build):
        if next(tree.glob("drivers/virt/coco/**/*.c"), None):
            return read_source(tree.resolve())
    version, package = packaged_version(kernel.image), "linux-source-{}.{}".format(*kernel.version)
    suites = suites_of(kernel.spec, kernel.version)
    if not version or not suites:
        raise UsageError(
            f"the sources of kernel {kernel.release} are not known: it has no tree beside its "
            "build directory, and is no package of a known series",
            hint=_BASE_HINT,
        )
    named = PackagedSource(kernel.spec, package, suites)
    only = tuple(f"*/{pattern}" for pattern in _PATTERNS)
    tree = fetch_source(named, cache, progress, only=only, version=version)
    return KernelSource(read_source(tree).files, f"{package} {version}")


def read_source(tree: Path) -> KernelSource:
    """Return the sources in a kernel tree; raises :class:`UsageError` when it has none."""
    directories = {tree / pattern.rpartition("/")[0] for pattern in _PATTERNS}
    files = []
    for path in sorted(file for each in directories for file in each.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if not any(fnmatch(name, pattern) for pattern in _PATTERNS) or not _is_source(path):
            continue
        if not path.resolve().is_relative_to(tree.resolve()):
            continue  # a stranger's tree could link to any file of this host
        try:
            files.append((name, path.read_bytes().decode("utf-8", "surrogateescape")))
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if not any(name.startswith("drivers/") for name, _ in files):
        raise UsageError(
            f"{tree} has no drivers/virt/coco", hint="name the top directory of a kernel tree"
        )
    return KernelSource(tuple(files), str(tree))


def _is_source(path: Path) -> bool:
    if path.name not in _BUILD_FILES and path.suffix not in _CODE:
        return False
    return path.is_file() and not path.name.endswith(".mod.c") and path.stat().st_size <= _MAX_BYTES
