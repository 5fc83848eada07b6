# SPDX-License-Identifier: MIT
"""What a user may write for a kernel."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.paths import guest_images_directory

__all__ = [
    "SANITIZERS",
    "KernelImage",
    "KernelTree",
    "PackagedKernel",
    "PackagedSource",
    "kernel_names",
    "parse_kernel",
]

SANITIZERS = ("kasan", "lockdep", "kcsan", "ubsan")
"""What a tree can be built with, each a fragment of its own."""


@dataclass(frozen=True)
class PackagedKernel:
    """A series known to ``kernels.toml``: a pattern of package names, and suites to look in.

    ``libraries`` are packages that the tools of its headers need and this host may be too old for.
    """

    name: str
    packages: str
    suites: tuple[str, ...]
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackagedSource:
    """A package of kernel sources, and the suites to look for it in."""

    name: str
    package: str
    suites: tuple[str, ...]


@dataclass(frozen=True)
class KernelTree:
    """Sources to be built: a directory or a package, with ``sanitizers``."""

    name: str
    source: Path | PackagedSource
    sanitizers: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelImage:
    """A kernel image by its path."""

    path: Path


@cache
def _known() -> dict[str, PackagedKernel | PackagedSource]:
    text = (guest_images_directory() / "kernels.toml").read_text(encoding="utf-8")
    return {name: _packaged(name, entry) for name, entry in tomllib.loads(text).items()}


def _packaged(name: str, entry: dict[str, Any]) -> PackagedKernel | PackagedSource:
    suites = tuple(entry["suites"])
    if "source" in entry:
        return PackagedSource(name, entry["source"], suites)
    return PackagedKernel(name, entry["packages"], suites, tuple(entry.get("libraries", ())))


def kernel_names() -> tuple[str, ...]:
    """Packaged kernels and sources that have a name."""
    return tuple(_known())


def parse_kernel(spec: str) -> PackagedKernel | KernelTree | KernelImage:
    """Understand ``spec``; raises :class:`UsageError` with what is possible."""
    possible = f"use {', '.join(_known())}, tree:PATH, or the path of a bzImage"
    name, *sanitizers = spec.split("+")
    known = _known().get(spec)
    if isinstance(known, PackagedKernel):
        return known
    if _exists(spec):
        return KernelImage(Path(spec).absolute())
    source = _known().get(name)
    if not (isinstance(source, PackagedSource) or name.startswith("tree:")):
        raise UsageError(f"no such kernel: {spec[:200] or '(empty)'}", hint=possible)
    unknown = sorted(set(sanitizers) - set(SANITIZERS))
    if unknown:
        raise UsageError(
            f"no such sanitizer: {', '.join(unknown)}", hint=f"there are {', '.join(SANITIZERS)}"
        )
    if {"kasan", "kcsan"} <= set(sanitizers):
        raise UsageError("KASAN and KCSAN exclude each other", hint="build two kernels")
    chosen = tuple(one for one in SANITIZERS if one in sanitizers)
    if isinstance(source, PackagedSource):
        return KernelTree(spec, source, chosen)
    return KernelTree(spec, _tree(Path(name.partition(":")[2])), chosen)


def _tree(path: Path) -> Path:
    for file in ("Kconfig", "Makefile", "scripts/kconfig/merge_config.sh"):
        if not _exists(str(path / file)):
            raise UsageError(
                f"{path} is no kernel tree: it has no {file}", hint="name its top directory"
            )
    return path.resolve()


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and Path(spec).exists()
    except (OSError, ValueError):  # too long, a NUL in it, a directory that may not be searched
        return False
