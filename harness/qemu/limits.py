# SPDX-License-Identifier: MIT
"""Limits of the host that end a guest without a word: a full disk, and the size of files."""

from __future__ import annotations

import os
import resource
from pathlib import Path

from harness.errors import HostError

__all__ = ["check_file_size", "full_disk"]

_FULL = 1 << 20  # bytes: a file system without a free page may still count a few


def check_file_size(needed: int) -> None:
    """Raise :class:`HostError` unless this process may write a file of ``needed`` bytes."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise HostError(
            f"files may have {allowed} bytes at most (ulimit -f), and a guest needs {needed}",
            hint="run `ulimit -f unlimited` first; limits.conf(5) may set the limit",
        )


def full_disk(directory: Path) -> HostError | None:
    """Return the error for a file system that has no free space, or None if it has.

    QEMU gets no error code then: its memory file is mapped, and SIGBUS ends it.
    """
    try:
        status = os.statvfs(directory)
    except OSError:
        return None
    if status.f_bavail * status.f_frsize >= _FULL:
        return None
    return HostError(
        f"the disk is full: {directory}: it has no space for a guest's memory",
        hint="free some space (`tsm-harness images prune`), or use another directory: --cache for "
        "templates, TMPDIR for running guests",
    )
