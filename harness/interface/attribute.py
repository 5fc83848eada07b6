# SPDX-License-Identifier: MIT
"""One file of an interface: how it is read and written, and how its use is recorded."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import get_args

from harness.errors import GuestCallError, InterfaceCallError
from harness.guest.actor import Actor, read_ops, read_result
from harness.guest.call import Call, checked
from harness.interface.history import History
from harness.interface.names import AttributeName
from harness.oracle.content import Blob, Options, OptionWrite, ReportRead, option_value
from tsmw.ops import Op, OpResult

__all__ = ["Attribute", "Value", "interface_errors"]

Value = bytes | int | str

_BLOBS: tuple[Blob, ...] = get_args(Blob)
# A write that fails with one of these was refused. One that fails otherwise may have stored the
# value first: an implementation that makes the report in write(2) returns the provider's errno.
_REFUSED = {
    errno.EINVAL, errno.ERANGE, errno.EDOM, errno.EOVERFLOW,
    errno.EFBIG, errno.E2BIG, errno.EMSGSIZE,
    errno.EACCES, errno.EPERM, errno.EBUSY, errno.EAGAIN,
}  # fmt: skip


@contextmanager
def interface_errors() -> Iterator[None]:
    """Raise failed calls of the guest as failed calls on the interface under test."""
    try:
        yield
    except GuestCallError as error:
        raise InterfaceCallError(error.errno, error.strerror, error.filename) from None


def _text(value: Value) -> bytes:
    return value if isinstance(value, bytes) else f"{value}\n".encode()


@dataclass(frozen=True)
class Attribute:
    """The file ``path``, which is the attribute ``name`` of ``entry``.

    ``encode`` turns a value into the bytes to write. Calls raise
    :class:`harness.errors.InterfaceCallError` with the guest's errno.
    """

    path: str
    name: AttributeName
    entry: str
    history: History
    encode: Callable[[Value], bytes] = _text

    def start_read(self, actor: Actor) -> Call[bytes]:
        """Start to open the file, read it to its end and close it, as cat does."""

        def decode(results: Sequence[OpResult]) -> bytes:
            return self.end_read(actor, results)

        return actor.start(read_ops(self.path), decode, f"read of {self.path}")

    def end_read(self, actor: Actor, results: Sequence[OpResult]) -> bytes:
        """Record what ``read_ops(path)`` read, and return it."""
        with interface_errors():
            data = read_result(results, self.path)
        for blob in _BLOBS:
            if blob == self.name:
                self._record_read(actor, blob, data, results)
        return data

    def start_write(self, actor: Actor, value: Value) -> Call[int]:
        """Start to open the file for writing, write once and close, as a shell redirection does."""

        def decode(results: Sequence[OpResult]) -> int:
            return self.end_write(number, results)

        call = actor.start(self.write_ops(value), decode, f"write to {self.path}")
        number = self.begin_write(value)
        return call

    def write_ops(self, value: Value) -> list[Op]:
        """The calls that :meth:`start_write` makes."""
        flags = os.O_WRONLY | os.O_TRUNC
        return [Op.open(self.path, flags), Op.write(self.encode(value)), Op.close()]

    def begin_write(self, value: Value) -> int | None:
        """Record that ``write_ops(value)`` were started; the number is for :meth:`end_write`."""
        if self.name not in Options.__dataclass_fields__:
            return None
        write = OptionWrite(self.entry, self.name, option_value(self.name, value), 0, 0)
        return self.history.start_write(write)

    def end_write(self, number: int | None, results: Sequence[OpResult]) -> int:
        """Record how ``write_ops()`` ended, and return how many bytes were written."""
        if number is not None:
            error = next((result.err for result in results if result.err), 0)
            self.history.end_write(
                number,
                start_ns=results[0].start_ns,
                end_ns=results[-1].end_ns,
                ok=not error,
                uncertain=bool(error) and not results[0].err and error not in _REFUSED,
            )
        with interface_errors():
            return checked(results, self.path)[1].ret

    def _record_read(
        self, actor: Actor, blob: Blob, data: bytes, results: Sequence[OpResult]
    ) -> None:
        self.history.reads.append(
            ReportRead(
                entry=self.entry,
                blob=blob,
                data=data,
                offset=0,
                whole=True,
                start_ns=results[0].start_ns,
                end_ns=results[-2].end_ns,
                reader=repr(actor),
            )
        )
