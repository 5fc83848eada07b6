# SPDX-License-Identifier: MIT
"""What a report says about the host a run was made on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

__all__ = ["describe_host"]


def describe_host(
    *, harness_version: str, qemu_version: str, accelerator: str, cpu_flags: Sequence[str]
) -> dict[str, object]:
    """Describe the host: what is needed to judge, or to repeat, a result obtained on it.

    ``cpus`` are those this process may use; ``cpu_flags`` is the guest's processor model and its
    changes, as given to QEMU.
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
