# SPDX-License-Identifier: MIT
"""Kernels and TSM cores: from what the user names to what boots and what is loaded."""

from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.kernels.bzimage import kernel_from_image
from harness.kernels.debian import fetch_debian
from harness.kernels.kbuild import build_tree
from harness.kernels.model import Kernel
from harness.kernels.spec import KernelTree, PackagedKernel, parse_kernel
from harness.progress import Progress

__all__ = ["Kernel", "resolve_kernel"]


def resolve_kernel(
    spec: str,
    cache: Cache,
    progress: Progress,
    *,
    build: Path | None = None,
    config: Path | None = None,
    trusted: bool = False,
) -> Kernel:
    """The kernel that ``spec`` names.

    ``build`` is the build tree of one given by its path, ``config`` the configuration of one that
    is built; ``trusted``: it was built just now, as far as it has to be. Raises
    :class:`harness.errors.UsageError` for a spec that names nothing usable,
    :class:`harness.errors.HostError` when it cannot be fetched, and
    :class:`harness.errors.BuildError` when it cannot be built.
    """
    named = parse_kernel(spec)
    if isinstance(named, PackagedKernel):
        return fetch_debian(named, cache, progress)
    if isinstance(named, KernelTree):
        return build_tree(named, cache, progress, config=config, trusted=trusted)
    return kernel_from_image(named.path, build)
