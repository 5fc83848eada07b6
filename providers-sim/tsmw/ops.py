# SPDX-License-Identifier: MIT
"""Operations: the system calls that an actor makes in one RUN, and their results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from tsmw.constants import MAX_PAYLOAD, MAX_ROUNDS, RUN_STOP_ON_ERROR, OpCode
from tsmw.errors import WireError
from tsmw.layout import Layout

__all__ = [
    "FD_LAST",
    "OP",
    "RESULT",
    "RUN",
    "RUN_REPLY",
    "STAT",
    "FileStat",
    "Op",
    "OpResult",
    "decode_results",
    "decode_stat",
    "encode_run",
]

RUN = Layout("RUN", "III")
OP = Layout("an operation", "HHiIIQII")
RUN_REPLY = Layout("a RUN reply", "II")
RESULT = Layout("a result in a RUN reply", "qiIQQ")
STAT = Layout("a STAT result", "IIIIQ")

FD_LAST = -2
"""The descriptor that the last OPEN of the same batch returned."""

_WITH_PATH = frozenset({OpCode.OPEN, OpCode.MKDIR, OpCode.RMDIR, OpCode.STAT, OpCode.LIST,
                        OpCode.INSMOD, OpCode.RMMOD})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Op:
    """One system call; use the constructors, which are named after the calls.

    ``arg`` is open's flags, mkdir's mode, lseek's whence, delete_module's flags, the priority, the
    actor that gets a signal, or the number of operations to repeat; ``mode`` is open's mode or the
    number of the signal; ``count`` is the number of bytes to read or of rounds; ``data`` is a path
    or the bytes to write.
    """

    code: OpCode
    fd: int = FD_LAST
    arg: int = 0
    mode: int = 0
    offset: int = 0
    count: int = 0
    data: bytes = b""

    @classmethod
    def open(cls, path: str, flags: int = os.O_RDONLY, mode: int = 0) -> Op:
        """``open(path, flags, mode)``; returns the descriptor."""
        return cls(OpCode.OPEN, arg=flags, mode=mode, data=os.fsencode(path))

    @classmethod
    def close(cls, fd: int = FD_LAST) -> Op:
        """``close(fd)``."""
        return cls(OpCode.CLOSE, fd)

    @classmethod
    def read(cls, count: int, fd: int = FD_LAST) -> Op:
        """``read(fd, ..., count)``; the bytes are the result's data."""
        return cls(OpCode.READ, fd, count=count)

    @classmethod
    def pread(cls, count: int, offset: int, fd: int = FD_LAST) -> Op:
        """``pread(fd, ..., count, offset)``; the bytes are the result's data."""
        return cls(OpCode.PREAD, fd, count=count, offset=offset)

    @classmethod
    def write(cls, data: bytes, fd: int = FD_LAST) -> Op:
        """``write(fd, data)``."""
        return cls(OpCode.WRITE, fd, data=data)

    @classmethod
    def pwrite(cls, data: bytes, offset: int, fd: int = FD_LAST) -> Op:
        """``pwrite(fd, data, offset)``."""
        return cls(OpCode.PWRITE, fd, data=data, offset=offset)

    @classmethod
    def lseek(cls, offset: int, whence: int = os.SEEK_SET, fd: int = FD_LAST) -> Op:
        """``lseek(fd, offset, whence)``; a negative offset is sent as two's complement."""
        return cls(OpCode.LSEEK, fd, arg=whence, offset=offset & 0xFFFF_FFFF_FFFF_FFFF)

    @classmethod
    def mkdir(cls, path: str, mode: int = 0o755) -> Op:
        """``mkdir(path, mode)``."""
        return cls(OpCode.MKDIR, arg=mode, data=os.fsencode(path))

    @classmethod
    def rmdir(cls, path: str) -> Op:
        """``rmdir(path)``."""
        return cls(OpCode.RMDIR, data=os.fsencode(path))

    @classmethod
    def stat(cls, path: str) -> Op:
        """``stat(path)``; decode the result's data with ``decode_stat``."""
        return cls(OpCode.STAT, data=os.fsencode(path))

    @classmethod
    def list(cls, path: str) -> Op:
        """Read the directory ``path``; the result's data are the names, each ended by a NUL."""
        return cls(OpCode.LIST, data=os.fsencode(path))

    @classmethod
    def insmod(cls, path: str, parameters: str = "") -> Op:
        """``finit_module`` of the file at ``path`` with its parameters."""
        return cls(OpCode.INSMOD, data=os.fsencode(path) + b"\0" + parameters.encode())

    @classmethod
    def rmmod(cls, name: str, flags: int = os.O_NONBLOCK) -> Op:
        """``delete_module(name, flags)``."""
        return cls(OpCode.RMMOD, arg=flags, data=os.fsencode(name))

    @classmethod
    def priority(cls, pid: int, priority: int) -> Op:
        """``sched_setscheduler(pid, SCHED_FIFO, priority)``."""
        return cls(OpCode.PRIORITY, arg=priority, offset=pid)

    @classmethod
    def repeat(cls, rounds: int, n: int = 1) -> Op:
        """Run the next ``n`` operations of the batch in up to ``rounds`` rounds.

        The round in which an operation fails is the last one. The result of REPEAT is the number
        of rounds in which none failed; the results of the ``n`` operations, which follow it, are
        those of the last round that ran.
        """
        return cls(OpCode.REPEAT, arg=n, count=rounds)

    @classmethod
    def signal(cls, slot: int, signo: int) -> Op:
        """``kill(pid, signo)`` of the actor in ``slot``; ESRCH when it is dead.

        SIGUSR1 interrupts the system call of an actor, which then fails with EINTR or returns what
        it has done so far; no other effect of SIGUSR1 is seen.
        """
        return cls(OpCode.SIGNAL, arg=slot, mode=signo)


@dataclass(frozen=True, slots=True)
class OpResult:
    """The result of one call: ``ret`` (-1 on error), ``err`` (errno, 0 on success) and its data.

    Times are the guest's CLOCK_MONOTONIC in nanoseconds, just before and after the call.
    """

    ret: int
    err: int
    data: bytes
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class FileStat:
    """Mode (type bits included), owner, links and size in bytes of a file."""

    mode: int
    uid: int
    gid: int
    nlink: int
    size: int


def encode_run(actor: int, ops: Sequence[Op], *, stop_on_error: bool = False) -> bytes:
    """Encode RUN: ``ops`` for ``actor``.

    Raises WireError when a number does not fit its field, a path is empty or has a NUL, a REPEAT
    is malformed, or the batch exceeds one frame.
    """
    _check_repeats(ops)
    parts = [RUN.pack(actor, len(ops), RUN_STOP_ON_ERROR if stop_on_error else 0)]
    for op in ops:
        data = op.data
        if op.code in _WITH_PATH:
            _check_path(op)
        parts.append(OP.pack(op.code, 0, op.fd, op.arg, op.mode, op.offset, op.count, len(data)))
        parts.append(data)
    payload = b"".join(parts)
    if len(payload) > MAX_PAYLOAD:
        raise WireError(
            f"a batch of {len(payload)} bytes exceeds one frame ({MAX_PAYLOAD}): run it in parts"
        )
    return payload


def decode_results(payload: bytes) -> list[OpResult]:
    """Decode the reply to RUN."""
    count, _ = RUN_REPLY.unpack_from(payload)
    results: list[OpResult] = []
    pos = RUN_REPLY.size
    for _ in range(count):
        ret, err, length, start_ns, end_ns = RESULT.unpack_from(payload, pos)
        start = pos + RESULT.size
        pos = start + length
        if pos > len(payload):
            raise WireError(f"a RUN reply ends inside the data of its result {len(results)}")
        results.append(OpResult(ret, err, payload[start:pos], start_ns, end_ns))
    if pos != len(payload):
        raise WireError(f"a RUN reply has {len(payload) - pos} bytes after its {count} results")
    return results


def decode_stat(data: bytes) -> FileStat:
    """Decode the data of a STAT result."""
    return FileStat(*STAT.unpack(data))


def _check_repeats(ops: Sequence[Op]) -> None:
    """Raise WireError when a REPEAT has no rounds, or no operations of its own to repeat."""
    for number, op in enumerate(ops):
        if op.code != OpCode.REPEAT:
            continue
        repeated = ops[number + 1 : number + 1 + max(op.arg, 0)]
        if not 1 <= op.count <= MAX_ROUNDS:
            raise WireError(f"REPEAT has 1 to {MAX_ROUNDS} rounds, not {op.count}")
        if not repeated or len(repeated) != op.arg:
            raise WireError(f"REPEAT of {op.arg} operations has {len(ops) - number - 1} behind it")
        if op.data or any(one.code == OpCode.REPEAT for one in repeated):
            raise WireError("REPEAT has no data, and no REPEAT among the operations it repeats")


def _check_path(op: Op) -> None:
    """Raise WireError when the path in the data is empty or has a NUL.

    The data of INSMOD is a path, a NUL and parameters, which must not have a NUL either.
    """
    nuls = 1 if op.code == OpCode.INSMOD else 0
    if op.data[:1] in (b"", b"\0") or op.data.count(b"\0") != nuls:
        raise WireError(f"the path of {op.code.name} is empty or has a NUL: {op.data!r}")
