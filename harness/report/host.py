# SPDX-License-Identifier: MIT
"""Describes the host in a run report."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

__all__ = ["describe_host"]


def describe_host(
    *, harness_version: str, qemu_version: str, accelerator: str, cpu_flags: Sequence[str]
) -> dict[str, object]:
    """Return what is needed to interpret, or to repeat, a result obtained on this host.

    ``cpus`` is the number of processors that this process may use; ``cpu_flags`` is the guest's
    processor model and its flags, as given to QEMU.
    """
    return {
        "harness": harness_version,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpus": len(os.sched_getaffinity(0)),
        "qemu": qemu_version,
        "accelerator": accelerator,
        "cpu_flags": list(cpu_flags),
    }
