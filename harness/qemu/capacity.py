# SPDX-License-Identifier: MIT
"""How many guests this machine bears."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

__all__ = ["guests_side_by_side"]

_EMULATOR_MIB = 160
"""What a worker and its emulator need besides a guest's memory."""
_CGROUP = Path("/sys/fs/cgroup")


def guests_side_by_side(memory_mib: int) -> int:
    """One guest for each core this process may use, as far as memory for each is free."""
    cores = len(os.sched_getaffinity(0))
    free_mib = min(psutil.virtual_memory().available, _left_of_the_group()) >> 20
    return max(1, min(cores, free_mib // (memory_mib + _EMULATOR_MIB)))


def _left_of_the_group() -> int:
    """Bytes that the control group this process is in may still take (cgroup v2)."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").rpartition("::")[2].strip()
        group = _CGROUP / own.lstrip("/")
        most = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii")
        return int(most) - int(used) if most != "max" else 1 << 62
    except (OSError, ValueError):
        return 1 << 62
