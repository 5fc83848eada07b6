# SPDX-License-Identifier: MIT
"""Operations: the system calls an actor makes in one RUN, and what came of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from struct import error as StructError  # noqa: N812

from tsmw.constants import MAX_PAYLOAD, RUN_STOP_ON_ERROR, OpCode
from tsmw.errors import WireError

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

RUN = Struct("<III")
OP = Struct("<HHiIIQII")
RUN_REPLY = Struct("<II")
RESULT = Struct("<qiIQQ")
STAT = Struct("<IIIIQ")

FD_LAST = -2
"""Stands for the descriptor that the last OPEN of the same batch returned."""


@dataclass(frozen=True, slots=True)
class Op:
    """One system call; made by the constructors named after it.

    ``arg`` is open's flags, mkdir's mode, lseek's whence or delete_module's flags; ``mode`` is
    open's; ``count`` the bytes to read; ``data`` a path or the bytes to write. ``fd`` defaults
    to FD_LAST.
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
        return cls(OpCode.OPEN, arg=flags, mode=mode, data=_path(path))

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
        """``lseek(fd, offset, whence)``; a negative offset travels as two's complement."""
        return cls(OpCode.LSEEK, fd, arg=whence, offset=offset & 0xFFFF_FFFF_FFFF_FFFF)

    @classmethod
    def mkdir(cls, path: str, mode: int = 0o755) -> Op:
        """``mkdir(path, mode)``."""
        return cls(OpCode.MKDIR, arg=mode, data=_path(path))

    @classmethod
    def rmdir(cls, path: str) -> Op:
        """``rmdir(path)``."""
        return cls(OpCode.RMDIR, data=_path(path))

    @classmethod
    def stat(cls, path: str) -> Op:
        """``stat(path)``; decode the result's data with ``decode_stat``."""
        return cls(OpCode.STAT, data=_path(path))

    @classmethod
    def list(cls, path: str) -> Op:
        """Read the directory ``path``."""
        return cls(OpCode.LIST, data=_path(path))

    @classmethod
    def insmod(cls, path: str, parameters: str = "") -> Op:
        """``finit_module`` of the file at ``path`` with its parameters."""
        return cls(OpCode.INSMOD, data=_path(path) + b"\0" + parameters.encode())

    @classmethod
    def rmmod(cls, name: str, flags: int = os.O_NONBLOCK) -> Op:
        """``delete_module(name, flags)``."""
        return cls(OpCode.RMMOD, arg=flags, data=_path(name))

    @classmethod
    def priority(cls, pid: int, priority: int) -> Op:
        """``sched_setscheduler(pid, SCHED_FIFO, priority)``."""
        return cls(OpCode.PRIORITY, arg=priority, offset=pid)


@dataclass(frozen=True, slots=True)
class OpResult:
    """What one call returned: ``ret`` (-1 on error), ``err`` (errno, 0 on success), its data.

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

    Raises WireError when a number does not fit its field or the batch exceeds one frame.
    """
    flags = RUN_STOP_ON_ERROR if stop_on_error else 0
    try:
        parts = [RUN.pack(actor, len(ops), flags)]
        for op in ops:
            data = op.data
            parts.append(
                OP.pack(op.code, 0, op.fd, op.arg, op.mode, op.offset, op.count, len(data))
            )
            parts.append(data)
    except StructError as error:
        raise WireError(f"an operation has a number out of range: {error}") from None
    payload = b"".join(parts)
    if len(payload) > MAX_PAYLOAD:
        raise WireError(
            f"a batch of {len(payload)} bytes exceeds one frame ({MAX_PAYLOAD}): run it in parts"
        )
    return payload


def decode_results(payload: bytes) -> list[OpResult]:
    """Decode the reply to RUN."""
    if len(payload) < RUN_REPLY.size:
        raise WireError(f"a RUN reply has at least {RUN_REPLY.size} bytes, not {len(payload)}")
    count, _ = RUN_REPLY.unpack_from(payload)
    results = []
    pos, end = RUN_REPLY.size, len(payload)
    for index in range(count):
        start = pos + RESULT.size
        if start > end:
            raise WireError(f"a RUN reply announces {count} results and is cut off after {index}")
        ret, err, length, start_ns, end_ns = RESULT.unpack_from(payload, pos)
        pos = start + length
        if pos > end:
            raise WireError(f"result {index} of a RUN reply claims {length} of {end - start} bytes")
        results.append(OpResult(ret, err, payload[start:pos], start_ns, end_ns))
    if pos != end:
        raise WireError(f"{end - pos} bytes follow the last of {count} results of a RUN reply")
    return results


def decode_stat(data: bytes) -> FileStat:
    """Decode the data of a STAT result."""
    if len(data) != STAT.size:
        raise WireError(f"a STAT result has {STAT.size} bytes, not {len(data)}")
    return FileStat(*STAT.unpack(data))


def _path(path: str) -> bytes:
    encoded = os.fsencode(path)
    if not encoded or b"\0" in encoded:
        raise WireError(f"a path is not empty and has no NUL: {path!r}")
    return encoded
