# SPDX-License-Identifier: MIT
"""How many guests may run at the same time on this host."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

__all__ = ["parallel_guests"]

_EMULATOR_MIB = 160
"""Memory that a worker process and its QEMU need in addition to the guest's memory."""
_CGROUP = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 62


def parallel_guests(memory_mib: int) -> int:
    """One guest for each core that this process may use, limited by free memory; at least 1."""
    cores = len(os.sched_getaffinity(0))
    free_mib = min(psutil.virtual_memory().available, _cgroup_free_bytes()) >> 20
    return max(1, min(cores, free_mib // (memory_mib + _EMULATOR_MIB)))


def _cgroup_free_bytes() -> int:
    """Memory that the control group of this process may still allocate (cgroup v2)."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").rpartition("::")[2].strip()
        group = _CGROUP / own.lstrip("/")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii")
        return int(limit) - int(used) if limit != "max" else _NO_LIMIT
    except (OSError, ValueError):
        return _NO_LIMIT
