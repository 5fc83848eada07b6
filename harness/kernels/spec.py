# SPDX-License-Identifier: MIT
"""Parses kernel specs: ``debian:6.12``, ``tree:PATH+kasan``, the path of a bzImage."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from harness.detectors import SANITIZERS
from harness.errors import UsageError
from harness.paths import guest_images_directory

__all__ = [
    "KernelImage",
    "KernelKind",
    "KernelTree",
    "PackagedKernel",
    "PackagedSource",
    "kernel_forms",
    "kernel_kind",
    "kernel_names",
    "parse_kernel",
    "suites_of",
]


KernelKind = Literal["package", "tree", "image"]
"""A packaged kernel, sources to build, or the file of a kernel image."""


@dataclass(frozen=True)
class PackagedKernel:
    """A packaged series of ``kernels.toml``.

    ``packages`` is a regular expression for package names, ``suites`` are searched for them.
    ``libraries`` are packages that the series' build tools need and this host may have in a version
    that is too old.
    """

    name: str
    packages: str
    suites: tuple[str, ...]
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackagedSource:
    """A package of kernel sources, and the suites that have it."""

    name: str
    package: str
    suites: tuple[str, ...]


@dataclass(frozen=True)
class KernelTree:
    """Sources to build, a directory or a package, with the named ``sanitizers``."""

    name: str
    source: Path | PackagedSource
    sanitizers: tuple[str, ...] = ()


@dataclass(frozen=True)
class KernelImage:
    """A kernel image that exists as a file."""

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
    """The names in ``kernels.toml``: packaged kernels and packaged sources."""
    return tuple(_known())


def suites_of(spec: str, version: tuple[int, int]) -> tuple[str, ...]:
    """The suites of a packaged kernel; those of the series ``version`` for an image's path."""
    series = "debian:{}.{}".format(*version)
    known = _known().get(spec) or _known().get(series)
    return known.suites if known else ()


def kernel_forms() -> str:
    """Every form of a kernel spec, for help texts and hints."""
    packaged = [name for name, entry in _known().items() if isinstance(entry, PackagedKernel)]
    sources = [name for name in _known() if name not in packaged]
    sanitizers = ", ".join(f"+{name}" for name in SANITIZERS)
    built = f"{' or '.join([*sources, 'tree:PATH'])} (both also with {sanitizers})"
    return f"{', '.join(packaged)}, {built}, or the path of a bzImage"


def kernel_kind(spec: str) -> KernelKind:
    """Return what a spec names, without looking at its files; every other text is a path."""
    if isinstance(_known().get(spec), PackagedKernel):
        return "package"
    name = spec.partition("+")[0]
    return "tree" if name.startswith("tree:") or name in _known() else "image"


def parse_kernel(spec: str) -> PackagedKernel | KernelTree | KernelImage:
    """Parse ``spec``; raises :class:`UsageError` with the possible forms."""
    name, *sanitizers = spec.split("+")
    known, source = _known().get(spec), _known().get(name)
    if isinstance(known, PackagedKernel):
        return known
    # The name of a package is never that of a file in the working directory.
    if not isinstance(source, PackagedSource) and _exists(spec):
        return KernelImage(Path(spec).absolute())
    if not (isinstance(source, PackagedSource) or name.startswith("tree:")):
        hint = f"use {kernel_forms()}"
        raise UsageError(f"no such kernel: {spec[:200] or '(empty)'}", hint=hint)
    chosen = _check_sanitizers(sanitizers)
    if isinstance(source, PackagedSource):
        return KernelTree(spec, source, chosen)
    return KernelTree(spec, _check_tree(Path(name.partition(":")[2])), chosen)


def _check_sanitizers(names: list[str]) -> tuple[str, ...]:
    """The sanitizers in the order of their table; raises :class:`UsageError`."""
    unknown = sorted(set(names) - set(SANITIZERS))
    if unknown:
        raise UsageError(
            f"no such sanitizer: {', '.join(unknown)}", hint=f"use {', '.join(SANITIZERS)}"
        )
    chosen = [sanitizer for name, sanitizer in SANITIZERS.items() if name in names]
    for first, second in combinations(chosen, 2):
        if first.name in second.excludes or second.name in first.excludes:
            raise UsageError(
                f"no kernel can be built with both {first.name} and {second.name}",
                hint=f"run two kernels: one with +{first.name}, one with +{second.name}",
            )
    return tuple(sanitizer.name for sanitizer in chosen)


def _check_tree(path: Path) -> Path:
    for file in ("Kconfig", "Makefile", "scripts/kconfig/merge_config.sh"):
        if not _exists(str(path / file)):
            raise UsageError(
                f"{path} is not a kernel source tree: it has no {file}",
                hint="name the top directory of a tree",
            )
    return path.resolve()


def _exists(spec: str) -> bool:
    try:
        return bool(spec) and Path(spec).exists()
    except (OSError, ValueError):  # name too long, NUL byte, directory without search permission
        return False
