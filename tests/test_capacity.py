# SPDX-License-Identifier: MIT
"""The number of guests that run at the same time, which cores and free memory limit."""

from __future__ import annotations

import os
from collections import namedtuple

import psutil
import pytest

from harness.qemu import capacity
from harness.qemu.capacity import parallel_guests

Memory = namedtuple("Memory", "available")
GIB = 1 << 30


@pytest.mark.parametrize(
    ("cores", "free", "group", "memory_mib", "guests"),
    [
        (8, 64 * GIB, 1 << 62, 256, 8),
        (8, 1 * GIB, 1 << 62, 256, 2),
        (8, 64 * GIB, 1 * GIB, 256, 2),
        (8, 64 * GIB, 1 << 62, 16384, 3),
        (8, 1, 1, 65536, 1),
    ],
)
def test_cores_and_free_memory_limit_the_guests(
    monkeypatch: pytest.MonkeyPatch, cores: int, free: int, group: int, memory_mib: int, guests: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: Memory(free))
    monkeypatch.setattr(capacity, "_cgroup_free_bytes", lambda: group)
    assert parallel_guests(memory_mib) == guests


def test_number_of_guests_on_this_host_is_within_its_cores() -> None:
    assert 1 <= parallel_guests(128) <= len(os.sched_getaffinity(0))
