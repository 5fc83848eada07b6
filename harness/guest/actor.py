# SPDX-License-Identifier: MIT
"""Actors: processes in the guest that make one batch of system calls at a time, when told."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from harness.errors import (
    ActorDiedError,
    DeadlineError,
    GuestCallError,
    GuestLostError,
    ScenarioError,
)
from harness.guest.call import Call, checked
from harness.timeouts import Deadline
from tsmw.agent import ActorState, decode_state, encode_spawn
from tsmw.constants import ActorPhase, FrameType
from tsmw.errors import WireError
from tsmw.ops import FileStat, Op, OpResult, decode_stat

if TYPE_CHECKING:
    from harness.guest.guest import Guest

__all__ = ["Actor", "read_ops", "read_result"]

T = TypeVar("T")

_CHUNK = 4096  # bytes asked of one read(2): sysfs gives no more at once
_PIECE = 32768  # bytes written in one batch
_READS = 15  # reads in one batch, the last of which is to meet the end: they fit one frame


class Attribute(Protocol):
    """An attribute of an interface, as far as actors use it."""

    def start_read(self, actor: Actor) -> Call[bytes]:
        """Start to read it to its end, by ``actor``."""

    def start_write(self, actor: Actor, value: bytes | int | str) -> Call[int]:
        """Start to write ``value`` to it, by ``actor``."""


class Actor:
    """One actor slot of a guest. ``start_*`` methods return at once, the others wait."""

    def __init__(self, guest: Guest, slot: int) -> None:
        self.guest = guest
        self.slot = slot
        self._wait_status: int | None = None

    def __repr__(self) -> str:
        return f"actor {self.slot}"

    def start(
        self,
        ops: Sequence[Op],
        decode: Callable[[Sequence[OpResult]], T],
        what: str,
    ) -> Call[T]:
        """Start a batch that stops at its first error."""
        return Call(self, ops, decode, what)

    def start_read(self, attribute: Attribute) -> Call[bytes]:
        """Start to read an attribute of the interface to its end."""
        return attribute.start_read(self)

    def start_write(self, attribute: Attribute, value: bytes | int | str) -> Call[int]:
        """Start to write an attribute of the interface."""
        return attribute.start_write(self, value)

    def read_file(self, path: str) -> bytes:
        """The content of ``path``; raises the guest's :class:`OSError`."""
        what = f"read of {path}"
        return self.start(read_ops(path), lambda got: read_result(got, path), what).result()

    def write_file(self, path: str, data: bytes) -> None:
        """Write ``data`` to the existing file ``path``; raises the guest's :class:`OSError`."""
        self.start_write_file(path, data).result()

    def start_write_file(self, path: str, data: bytes) -> Call[None]:
        """Begin to write ``data`` to the existing file ``path``."""

        def decode(results: Sequence[OpResult]) -> None:
            checked(results, path)

        ops = [Op.open(path, os.O_WRONLY | os.O_TRUNC), Op.write(data), Op.close()]
        return self.start(ops, decode, f"write to {path}")

    def create_file(self, path: str, data: bytes) -> None:
        """Make the file ``path`` of ``data``, in as many calls as it takes."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        for start in range(0, len(data) or 1, _PIECE):
            piece = data[start : start + _PIECE]
            ops = [Op.open(path, flags, 0o600), Op.write(piece), Op.close()]
            self.start(ops, lambda got: checked(got, path), f"write to {path}").result()
            flags = os.O_WRONLY | os.O_APPEND

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """``mkdir``; raises the guest's :class:`OSError`."""
        self.start_mkdir(path, mode).result()

    def start_mkdir(self, path: str, mode: int = 0o755) -> Call[None]:
        """Begin a ``mkdir``."""

        def decode(results: Sequence[OpResult]) -> None:
            checked(results, f"mkdir {path}")

        return self.start([Op.mkdir(path, mode)], decode, f"mkdir {path}")

    def rmdir(self, path: str) -> None:
        """``rmdir``; raises the guest's :class:`OSError`."""
        self._one(Op.rmdir(path), f"rmdir {path}")

    def stat(self, path: str) -> FileStat:
        """``stat``; raises the guest's :class:`OSError`."""
        data = self._one(Op.stat(path), f"stat {path}").data
        try:
            return decode_stat(data)
        except WireError as error:
            raise self.guest.protocol_error(error) from error

    def list(self, path: str) -> tuple[str, ...]:
        """The names in a directory, sorted, without ``.`` and ``..``."""
        data = self._one(Op.list(path), f"list {path}").data
        names = (name.decode("utf-8", "backslashreplace") for name in data.split(b"\0") if name)
        return tuple(sorted(name for name in names if name not in (".", "..")))

    def exists(self, path: str) -> bool:
        """Whether ``path`` can be found."""
        try:
            self.stat(path)
        except GuestCallError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def insmod(self, path: str, parameters: str = "") -> None:
        """Load a module file; raises the guest's :class:`OSError`."""
        self._one(Op.insmod(path, parameters), f"insmod {path} {parameters}".strip())

    def rmmod(self, name: str) -> None:
        """Unload a module; raises the guest's :class:`OSError`."""
        self._one(Op.rmmod(name), f"rmmod {name}")

    def set_fifo_priority(self, pid: int, priority: int = 1) -> None:
        """Have a task, also one of the kernel's, run before every ordinary one (SCHED_FIFO).

        ``priority`` is 1..99. Raises the guest's :class:`OSError`.
        """
        self._one(Op.priority(pid, priority), f"priority {priority} for task {pid}")

    def state(self, deadline: Deadline | None = None) -> ActorState:
        """What the actor is doing now: its phase, and what ``/proc`` says of its task."""
        deadline = deadline or self.guest.timeouts.deadline(10.0, f"asking after {self!r}")
        slot = self.slot.to_bytes(4, "little")
        payload = self.guest.agent.call(FrameType.STATE, slot, deadline)
        try:
            return decode_state(payload)
        except WireError as error:
            raise self.guest.protocol_error(error) from error

    def whereabouts(self) -> str:
        """One line for a message: idle, dead, or where in the kernel."""
        try:
            state = self.state()
        except (DeadlineError, GuestLostError):
            return "in a guest that does not answer"
        if state.phase != ActorPhase.IN_CALL:
            return f"{state.phase.name.lower().replace('_', ' ')}"
        first = state.stack.strip().splitlines()[:1]
        return (
            f"in the kernel at {first[0].strip() if first else state.wchan or 'an unknown place'}"
        )

    def kill(self) -> None:
        """Send SIGKILL; the process may still take its time in the kernel."""
        deadline = self.guest.timeouts.deadline(10.0, f"killing {self!r}")
        self.guest.agent.call(FrameType.KILL, self.slot.to_bytes(4, "little"), deadline)

    def wait_until_dead(self, *, seconds: float = 10.0) -> int:
        """Wait for the process to be gone; returns its wait status."""
        deadline = self.guest.timeouts.deadline(seconds, f"the end of {self!r}")
        while self._wait_status is None:
            self.guest.agent.wait_for_news(deadline)
        return self._wait_status

    def spawn(self, *, uid: int = 0, gid: int = 0, cpu: int = -1, priority: int = 0) -> None:
        """Fill the slot with a new process of this user, bound to ``cpu`` or to none (-1).

        With a ``priority`` (1..99, SCHED_FIFO) it runs before every ordinary process of its
        processor, from the moment it is woken; with -1 (SCHED_IDLE) after all of them.
        """
        deadline = self.guest.timeouts.deadline(10.0, f"starting {self!r}")
        payload = encode_spawn(self.slot, uid, gid, cpu, priority)
        self.guest.agent.call(FrameType.SPAWN, payload, deadline)
        self._wait_status = None

    def died(self, wait_status: int) -> None:
        """The agent reports the end of the process (called by the guest's event handler)."""
        self._wait_status = wait_status

    def raise_if_dead(self, what: str) -> None:
        """Raise :class:`ActorDiedError` when the process has ended."""
        status = self._wait_status
        if status is None:
            return
        raise ActorDiedError(f"{self!r} died in {what} ({_ending(status)})", status)

    def _one(self, op: Op, what: str) -> OpResult:
        return self.start([op], lambda results: checked(results, what)[0], what).result()


def _ending(wait_status: int) -> str:
    if not os.WIFSIGNALED(wait_status):
        return f"exit status {os.WEXITSTATUS(wait_status)}"
    number = os.WTERMSIG(wait_status)
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:  # a real-time signal in between has no name
        return f"signal {number}"


def read_ops(path: str) -> list[Op]:
    """The calls that read ``path`` as cat does: open, read until the end is met, close.

    One batch reads less than 60 KiB.
    """
    return [Op.open(path), *(Op.read(_CHUNK) for _ in range(_READS)), Op.close()]


def read_result(results: Sequence[OpResult], path: str) -> bytes:
    """The bytes :func:`read_ops` read; raises the guest's :class:`OSError`."""
    reads = checked(results, path)[1:-1]
    if reads[-1].ret:
        raise ScenarioError(f"{path} is longer than one batch reads: read it in parts")
    return b"".join(result.data for result in reads)
