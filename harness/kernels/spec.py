# SPDX-License-Identifier: MIT
"""What a user may write for a kernel."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UsageError
from harness.paths import guest_images_directory

__all__ = ["KernelImage", "PackagedKernel", "parse_kernel"]

_SANITIZERS = ("+kasan", "+lockdep", "+kcsan", "+ubsan")


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
class KernelImage:
    """A kernel image by its path."""

    path: Path


@cache
def _known() -> dict[str, PackagedKernel]:
    text = (guest_images_directory() / "kernels.toml").read_text(encoding="utf-8")
    return {
        name: PackagedKernel(
            name, entry["packages"], tuple(entry["suites"]), tuple(entry.get("libraries", ()))
        )
        for name, entry in tomllib.loads(text).items()
    }


def parse_kernel(spec: str) -> PackagedKernel | KernelImage:
    """Understand ``spec``; raises :class:`UsageError` with what is possible."""
    possible = f"use {', '.join(_known())}, or the path of a bzImage"
    if spec in _known():
        return _known()[spec]
    if _exists(spec):
        return KernelImage(Path(spec).absolute())
    if spec.endswith(_SANITIZERS):
        raise UsageError(f"sanitizer kernels are not supported yet: {spec}", hint=possible)
    if spec.startswith("tree:"):
        raise UsageError(f"source trees are not supported yet: {spec}", hint=possible)
    raise UsageError(f"no such kernel: {spec[:200] or '(empty)'}", hint=possible)


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and Path(spec).exists()
    except (OSError, ValueError):  # too long, a NUL in it, a directory that may not be searched
        return False
