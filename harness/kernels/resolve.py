# SPDX-License-Identifier: MIT
"""Resolves a kernel spec: fetches a packaged kernel, builds a tree, or checks an image."""

from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.kernels.bzimage import kernel_from_image
from harness.kernels.debian import fetch_debian
from harness.kernels.kbuild import build_tree
from harness.kernels.model import Kernel
from harness.kernels.spec import KernelTree, PackagedKernel, parse_kernel
from harness.progress import Progress

__all__ = ["resolve_kernel"]


def resolve_kernel(
    spec: str,
    cache: Cache,
    progress: Progress,
    *,
    build: Path | None = None,
    config: Path | None = None,
    trusted: bool = False,
) -> Kernel:
    """Return the kernel that ``spec`` names; fetch or build it when necessary.

    ``build`` is the build tree of a kernel image, ``config`` the configuration for a source tree.
    With ``trusted`` an earlier build of a tree is used without a check for changes. Raises
    :class:`harness.errors.UsageError` for a spec that names no usable kernel,
    :class:`harness.errors.HostError` when it cannot be fetched, and
    :class:`harness.errors.BuildError` when it cannot be built.
    """
    named = parse_kernel(spec)
    if isinstance(named, PackagedKernel):
        return fetch_debian(named, cache, progress)
    if isinstance(named, KernelTree):
        return build_tree(named, cache, progress, config=config, trusted=trusted)
    return kernel_from_image(named.path, build)
