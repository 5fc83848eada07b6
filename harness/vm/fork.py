# SPDX-License-Identifier: MIT
"""Copies of running guests, each with a copy of its provider.

The copy must not notice that it is one: were its provider's port closed and opened again, the
driver in it would unregister. So the copy's ports are connected before its state is loaded, and
its provider goes on in the session of the original.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.errors import ScenarioError
from harness.guest.guest import Guest
from harness.qemu.machine import Machine
from providers_sim import ProviderError

__all__ = ["resume_guest", "save_guest"]

_MONITOR_SECONDS = 60.0


def save_guest(guest: Guest, path: Path) -> dict[str, Any] | None:
    """Write a guest's state to ``path`` and let it go on; returns its provider's state, if any."""
    guest.settle()
    if guest.open_calls:
        raise ScenarioError(f"{len(guest.open_calls)} call(s) are open: a fork needs them ended")
    try:
        state = guest.provider.get_state() if guest.provider is not None else None
    except ProviderError as error:
        raise ScenarioError(f"the provider cannot be copied now: {error}") from error
    machine = guest.machine
    machine.limit_files(with_memory=True)
    monitor = machine.monitor(seconds=guest.timeouts.scaled(_MONITOR_SECONDS))
    try:
        with path.open("xb") as file:
            monitor.save(file.fileno())
    finally:
        machine.limit_files(with_memory=machine.memory.shared)
        monitor.close()
    return state


def resume_guest(
    machine: Machine, path: Path, original: Guest, provider_state: dict[str, Any] | None
) -> Guest:
    """Load the state at ``path`` into a waiting machine; it is removed when all went well."""
    served = original.provider if provider_state is not None else None
    with ExitStack() as undo:
        undo.callback(machine.kill)
        ports = {name: machine.connect(name) for name in ("agent", "provider")}
        if served is None:
            ports.pop("provider").close()
        for port in ports.values():
            undo.callback(port.close)
        monitor = machine.monitor(seconds=original.timeouts.scaled(_MONITOR_SECONDS))
        monitor.wait_for_peers(ports)
        with path.open("rb") as file:
            monitor.restore(file.fileno())
        monitor.close()
        guest = Guest(machine, timeouts=original.timeouts, connection=ports["agent"])
        if served is not None:
            assert provider_state is not None
            guest.resume(served.provider.clone(), ports["provider"], provider_state)
        undo.pop_all()
    path.unlink()
    return guest
