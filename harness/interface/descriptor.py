# SPDX-License-Identifier: MIT
"""An open file of a interface, for scenarios about single system calls.

What happens here is not remembered for the content oracle: a scenario that uses descriptors
compares what it read by itself.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from harness.guest.actor import Actor
from harness.interface.attribute import interface_errors
from tsmw.ops import Op, OpResult

__all__ = ["Descriptor"]


class Descriptor:
    """``path`` opened by ``actor``; a context manager that closes it.

    Methods raise :class:`harness.errors.InterfaceCallError` with the guest's errno.
    """

    def __init__(self, actor: Actor, path: str, flags: int = os.O_RDONLY, mode: int = 0) -> None:
        self.actor = actor
        self.path = path
        self._fd = -1
        self._fd = self._do(Op.open(path, flags, mode)).ret

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()

    def read(self, count: int) -> bytes:
        """``read(2)``."""
        return self._do(Op.read(count, self._fd)).data

    def pread(self, count: int, offset: int) -> bytes:
        """``pread(2)``."""
        return self._do(Op.pread(count, offset, self._fd)).data

    def write(self, data: bytes) -> int:
        """``write(2)``."""
        return self._do(Op.write(data, self._fd)).ret

    def pwrite(self, data: bytes, offset: int) -> int:
        """``pwrite(2)``."""
        return self._do(Op.pwrite(data, offset, self._fd)).ret

    def lseek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """``lseek(2)``."""
        return self._do(Op.lseek(offset, whence, self._fd)).ret

    def close(self) -> None:
        """``close(2)``; a second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._do(Op.close(fd))

    def _do(self, op: Op) -> OpResult:
        what = f"{op.code.name.lower()} of {self.path}"
        with interface_errors():
            return self.actor.run(op, what)
