# SPDX-License-Identifier: MIT
"""An open file of an interface, for scenarios about single system calls.

The history does not record these calls, so the content oracle does not check what they read; a
scenario that uses them compares the bytes itself.
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

    def __init__(self, actor: Actor, path: str, flags: int = os.O_RDONLY) -> None:
        self.actor = actor
        self.path = path
        self._fd = -1
        self._fd = self._run(Op.open(path, flags)).ret

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
        return self._run(Op.read(count, self._fd)).data

    def pread(self, count: int, offset: int) -> bytes:
        """``pread(2)``."""
        return self._run(Op.pread(count, offset, self._fd)).data

    def write(self, data: bytes) -> int:
        """``write(2)``."""
        return self._run(Op.write(data, self._fd)).ret

    def pwrite(self, data: bytes, offset: int) -> int:
        """``pwrite(2)``."""
        return self._run(Op.pwrite(data, offset, self._fd)).ret

    def lseek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """``lseek(2)``."""
        return self._run(Op.lseek(offset, whence, self._fd)).ret

    def close(self) -> None:
        """``close(2)``; does nothing if the file is closed already."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self._run(Op.close(fd))

    def _run(self, op: Op) -> OpResult:
        with interface_errors():
            return self.actor.run(op, f"{op.code.name.lower()} of {self.path}")
