# SPDX-License-Identifier: MIT
"""Actors: processes in the guest that make one batch of system calls at a time."""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from harness.errors import GuestCallError, ScenarioError
from harness.guest.agent import decoded
from harness.guest.agent_session import AgentSession
from harness.guest.call import Call, checked
from harness.guest.process import ActorProcess
from tsmw.ops import FileStat, Op, OpResult, decode_stat

__all__ = ["CALLS_KEPT", "Actor", "read_ops", "read_result"]

T = TypeVar("T")

CALLS_KEPT = 200
_READ_BYTES = 4096  # of one read(2): sysfs returns at most a page
_READS = 15  # in one batch, the last of which returns 0: their data fits one frame
_WRITE_BYTES = 32768  # of one batch


class _Attribute(Protocol):
    """An attribute of an interface, as far as actors use it."""

    def start_read(self, actor: Actor, /) -> Call[bytes]: ...

    def start_write(self, actor: Actor, value: bytes | int | str, /) -> Call[int]: ...


class Actor(ActorProcess):
    """One actor slot of a guest, and the system calls of its process.

    Methods named ``start_...`` return a :class:`Call` at once. The others wait for the result,
    and raise the guest's :class:`OSError`. ``calls`` has the most recent calls.
    """

    def __init__(self, session: AgentSession, slot: int) -> None:
        super().__init__(session, slot)
        self.calls: deque[Call[Any]] = deque(maxlen=CALLS_KEPT)
        self._unsettled: list[Call[Any]] = []

    @property
    def open_calls(self) -> list[Call[Any]]:
        """The calls whose result has not been taken."""
        return [call for call in self._unsettled if not call.settled]

    def start(
        self,
        ops: Sequence[Op],
        decode: Callable[[Sequence[OpResult]], T],
        what: str,
        *,
        in_timeline: bool = True,
        stop_on_error: bool = True,
    ) -> Call[T]:
        """Start a batch; ``decode`` makes its value.

        ``in_timeline`` is False for a call that only observes the guest: ``calls`` omits it.
        With ``stop_on_error`` the batch ends at its first error; it still closes its files.
        """
        call = Call(self, ops, decode, what, stop_on_error=stop_on_error)
        self._unsettled = [*self.open_calls, call]
        if in_timeline:
            self.calls.append(call)
        return call

    def run(self, op: Op, what: str) -> OpResult:
        """Make one system call."""
        return self.start([op], lambda results: checked(results, what)[0], what).result()

    def start_read(self, attribute: _Attribute) -> Call[bytes]:
        """Start to read an attribute of the interface to its end."""
        return attribute.start_read(self)

    def start_write(self, attribute: _Attribute, value: bytes | int | str) -> Call[int]:
        """Start to write an attribute of the interface."""
        return attribute.start_write(self, value)

    def start_read_file(self, path: str, *, in_timeline: bool = True) -> Call[bytes]:
        """Start to read the file ``path`` to its end."""
        return self.start(
            read_ops(path),
            lambda results: read_result(results, path),
            f"read of {path}",
            in_timeline=in_timeline,
        )

    def read_file(self, path: str, *, in_timeline: bool = True) -> bytes:
        """The content of ``path``."""
        return self.start_read_file(path, in_timeline=in_timeline).result()

    def start_write_file(self, path: str, data: bytes) -> Call[None]:
        """Start to write ``data``, in one call, to the existing file ``path``."""
        ops = [Op.open(path, os.O_WRONLY | os.O_TRUNC), Op.write(data), Op.close()]
        return self._start_checked(ops, path, f"write to {path}")

    def write_file(self, path: str, data: bytes) -> None:
        """Write ``data``, in one call, to the existing file ``path``."""
        self.start_write_file(path, data).result()

    def create_file(self, path: str, data: bytes) -> None:
        """Create the file ``path`` with the content ``data``, in several batches if necessary."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        for start in range(0, len(data) or 1, _WRITE_BYTES):
            part = data[start : start + _WRITE_BYTES]
            ops = [Op.open(path, flags, 0o600), Op.write(part), Op.close()]
            self._start_checked(ops, path, f"write to {path}").result()
            flags = os.O_WRONLY | os.O_APPEND

    def start_mkdir(self, path: str, mode: int = 0o755) -> Call[None]:
        """Start to make a directory."""
        what = f"mkdir {path}"
        return self._start_checked([Op.mkdir(path, mode)], what, what)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        """Make a directory."""
        self.start_mkdir(path, mode).result()

    def rmdir(self, path: str) -> None:
        """Remove a directory."""
        self.run(Op.rmdir(path), f"rmdir {path}")

    def stat(self, path: str) -> FileStat:
        """``stat(2)``."""
        return decoded(decode_stat, self.run(Op.stat(path), f"stat {path}").data)

    def list(self, path: str, *, in_timeline: bool = True) -> tuple[str, ...]:
        """The names in a directory, sorted, without ``.`` and ``..``."""
        what = f"list {path}"

        def decode(results: Sequence[OpResult]) -> tuple[str, ...]:
            data = checked(results, what)[0].data
            names = (name.decode("utf-8", "backslashreplace") for name in data.split(b"\0"))
            return tuple(sorted(name for name in names if name not in ("", ".", "..")))

        return self.start([Op.list(path)], decode, what, in_timeline=in_timeline).result()

    def exists(self, path: str) -> bool:
        """Whether ``path`` exists."""
        try:
            self.stat(path)
        except GuestCallError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def insmod(self, path: str, parameters: str = "") -> None:
        """Load the module file ``path``."""
        self.run(Op.insmod(path, parameters), f"insmod {path} {parameters}".strip())

    def rmmod(self, name: str) -> None:
        """Unload the module ``name``."""
        self.run(Op.rmmod(name), f"rmmod {name}")

    def set_fifo_priority(self, pid: int, priority: int = 1) -> None:
        """Make the task ``pid`` SCHED_FIFO with this priority (1..99); kernel threads too.

        It then runs before every SCHED_OTHER task.
        """
        self.run(Op.priority(pid, priority), f"priority {priority} for task {pid}")

    def _start_checked(self, ops: Sequence[Op], blamed: str, what: str) -> Call[None]:
        def decode(results: Sequence[OpResult]) -> None:
            checked(results, blamed)

        return self.start(ops, decode, what)


def read_ops(path: str) -> list[Op]:
    """The calls that read ``path`` as cat does: open, read until read(2) returns 0, close.

    One batch reads less than 60 KiB.
    """
    return [Op.open(path), *(Op.read(_READ_BYTES) for _ in range(_READS)), Op.close()]


def read_result(results: Sequence[OpResult], path: str) -> bytes:
    """The bytes that :func:`read_ops` read; raises the guest's :class:`OSError`."""
    reads = checked(results, path)[1:-1]
    if reads[-1].ret:
        raise ScenarioError(f"{path} is longer than one batch reads: read it in parts")
    return b"".join(result.data for result in reads)
