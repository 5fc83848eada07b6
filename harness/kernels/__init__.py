# SPDX-License-Identifier: MIT
"""Kernels and TSM cores: from what the user names to what boots and what is loaded."""

from __future__ import annotations

from pathlib import Path

from harness.cache import Cache
from harness.kernels.bzimage import kernel_from_image
from harness.kernels.debian import fetch_debian
from harness.kernels.model import Kernel
from harness.kernels.spec import PackagedKernel, parse_kernel
from harness.progress import Progress

__all__ = ["Kernel", "resolve_kernel"]


def resolve_kernel(
    spec: str, cache: Cache, progress: Progress, *, build: Path | None = None
) -> Kernel:
    """The kernel that ``spec`` names; ``build`` is the build tree of one given by its path.

    Raises :class:`harness.errors.UsageError` for a spec that names nothing usable, and
    :class:`harness.errors.HostError` when it cannot be fetched.
    """
    named = parse_kernel(spec)
    if isinstance(named, PackagedKernel):
        return fetch_debian(named, cache, progress)
    return kernel_from_image(named.path, build)
