# SPDX-License-Identifier: MIT
"""What the console shows of a guest that no longer answers: its log cannot be fetched."""

from __future__ import annotations

from harness.detectors import SplatKind
from harness.errors import KernelPanicError
from harness.oracle.records import parse_console
from harness.oracle.splats import find_splats
from harness.qemu.machine import Machine

__all__ = ["find_panic"]

_EXIT_SECONDS = 2.0
_FATAL = (
    SplatKind.PANIC,
    SplatKind.OOPS,
    SplatKind.LOCKUP,
    SplatKind.RCU_STALL,
    SplatKind.HUNG_TASK,
)


def find_panic(machine: Machine) -> KernelPanicError | None:
    """Return the panic or oops that ended a guest which was ready before; None without one."""
    machine.wait_for_exit(_EXIT_SECONDS)
    splats = find_splats(parse_console(machine.console_bytes()))
    fatal = [splat for splat in splats if splat.panicked or splat.kind in _FATAL]
    if not fatal:
        return None
    titles = "; ".join(splat.title for splat in fatal[:3])
    return KernelPanicError(
        f"the guest's kernel ended after the guest was ready: {titles}",
        signatures=[splat.signature for splat in fatal],
    )
