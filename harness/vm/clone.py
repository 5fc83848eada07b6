# SPDX-License-Identifier: MIT
"""Save a running guest, and restore a saved one: a clone of a template, or a copy of a guest.

Every clone is made by :func:`restore`.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.errors import GuestLostError, ScenarioError
from harness.guest.guest import Guest
from harness.qemu.emulator import Emulator
from harness.qemu.machine import Machine, Memory
from harness.timeouts import Timeouts
from providers_sim import AnyProvider, ProviderError

__all__ = ["SavedGuest", "SavedProvider", "restore", "save"]

_MONITOR_SECONDS = 60.0
_MAX_DEVICES = 64 << 20  # bytes of saved state that are not memory; usually about 0.3 MB
_CHUNK = 1 << 20


@dataclass(frozen=True)
class SavedProvider:
    """The provider that served a guest when it was saved, and the state of its loop."""

    provider: AnyProvider
    state: Mapping[str, Any]


@dataclass(frozen=True)
class SavedGuest:
    """A guest that :func:`restore` can restore.

    ``memory`` is the guest's memory file, ``state`` the stream that QEMU saved. ``connected`` are
    the ports that had a host when the guest was saved: the restored guest must find a host there.
    """

    memory: Path
    state: Path
    timeouts: Timeouts
    connected: tuple[str, ...] = ()
    provider: SavedProvider | None = None


def save(guest: Guest, state: Path) -> SavedGuest:
    """Write the state of a running guest to the new file ``state``; the guest then continues.

    Raises :class:`ScenarioError` when a call is open or a request is with the provider.
    """
    guest.settle()
    if guest.open_calls:
        raise ScenarioError(
            f"{len(guest.open_calls)} call(s) are open: a guest cannot be copied during a call",
            hint="wait for the result of each call first",
        )
    provider = _save_provider(guest)
    machine, timeouts = guest.machine, guest.timeouts
    monitor = machine.monitor(seconds=timeouts.scaled(_MONITOR_SECONDS))
    try:
        with _received(state, machine.emulator.memory_mib << 20) as descriptor:
            monitor.save(descriptor)
    finally:
        monitor.close()
    connected = ("agent",) if provider is None else ("agent", "provider")
    return SavedGuest(machine.memory.path, state, timeouts, connected, provider)


@contextmanager
def _received(state: Path, memory_bytes: int) -> Iterator[int]:
    """A socket for QEMU to write into, whose data arrives in the new file ``state``.

    QEMU cannot write the file: its limit for files, which is that for the console log, is less
    than the guest's memory. Raises :class:`GuestLostError` for more than memory and devices need.
    """
    ours, theirs = socket.socketpair()
    with state.open("xb") as file, ours, ThreadPoolExecutor(1) as worker:
        received = worker.submit(_copy, ours, file, memory_bytes + _MAX_DEVICES)
        try:
            with theirs:
                yield theirs.fileno()
        except BaseException:
            ours.shutdown(socket.SHUT_RDWR)  # QEMU may be stuck, with its end open
            raise
        if not received.result():
            raise GuestLostError("QEMU saved more than the guest's memory and devices")


def _copy(source: socket.socket, target: IO[bytes], most_bytes: int) -> bool:
    """Copy up to the end, or until there is more than ``most_bytes``; returns whether it fits."""
    left = most_bytes
    while data := source.recv(_CHUNK):
        left -= len(data)
        if left < 0:
            source.shutdown(socket.SHUT_RDWR)  # then QEMU fails to write more
            return False
        target.write(data)
    return True


def _save_provider(guest: Guest) -> SavedProvider | None:
    if guest.provider is None:
        return None
    try:
        return SavedProvider(guest.provider.provider.clone(), guest.provider.get_state())
    except ProviderError as error:
        raise ScenarioError(f"the provider cannot be copied now: {error}") from error


def restore(
    emulator: Emulator, saved: SavedGuest, directory: Path, *, shared: bool = False
) -> Guest:
    """A running copy of a saved guest, with a clock and random state of its own.

    ``directory`` receives the machine's files. The copy maps the memory file copy-on-write;
    ``shared`` lets its writes change the file.
    """
    machine = Machine(emulator, Memory(saved.memory, shared=shared), directory, boot=None)
    with ExitStack() as undo:
        undo.callback(machine.kill)
        # A port without a host when the state is loaded would look to the guest as if its host
        # had left: the driver would unregister the provider.
        ports = {name: machine.connect(name) for name in saved.connected}
        for port in ports.values():
            undo.callback(port.close)
        monitor = machine.monitor(seconds=saved.timeouts.scaled(_MONITOR_SECONDS))
        if ports:
            monitor.wait_for_peers(ports)
        with saved.state.open("rb") as state:
            monitor.restore(state.fileno())
        monitor.close()
        guest = Guest(machine, timeouts=saved.timeouts, connection=ports.get("agent"))
        if saved.provider is not None:
            guest.resume(saved.provider.provider, ports["provider"], saved.provider.state)
        undo.pop_all()
    return guest
