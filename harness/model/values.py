# SPDX-License-Identifier: MIT
"""How a written value is understood: what must be accepted, what must be refused, what is free."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Understanding", "compose", "guid", "hexadecimal", "name_of_service", "number", "word"]

_U32 = 1 << 32
_CANONICAL = re.compile(rb"(0|[1-9][0-9]*)\n?")
_LOOSE = re.compile(rb"[ \t\n]*[+]?(0[xX][0-9a-fA-F]+|0[0-7]+|[0-9]+)[ \t\n\0]*")
_GUID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ORDINARY_NAME = re.compile(rb"[!-~]{1,1023}")


@dataclass(frozen=True)
class Understanding:
    """The values that a text may stand for, and whether it must, may or must not be accepted."""

    values: tuple[object, ...] = ()
    required: bool = False

    @property
    def refused(self) -> bool:
        """Whether no value is allowed."""
        return not self.values


def number(data: bytes, low: int = 0, high: int = _U32 - 1) -> Understanding:
    """A decimal number with at most one line feed must be accepted in ``low`` to ``high``.

    Other spellings (hexadecimal, octal, a sign, blanks around it, bytes after a NUL) are free.
    """
    found = _LOOSE.fullmatch(data.split(b"\0")[0])
    if found is None:
        return Understanding()
    values = tuple(v for v in dict.fromkeys(_numbers(found[1])) if low <= v <= high)
    return Understanding(values, required=bool(values and _CANONICAL.fullmatch(data)))


def _numbers(digits: bytes) -> Iterator[int]:
    if digits[:2] in (b"0x", b"0X"):
        yield int(digits, 16)
        return
    yield int(digits, 10)
    if digits[:1] == b"0" and re.fullmatch(rb"[0-7]+", digits):
        yield int(digits, 8)


def word(data: bytes, words: tuple[bytes, ...]) -> Understanding:
    """One of ``words`` with at most one line feed; blanks around it and capitals are free."""
    stripped = data.split(b"\0")[0].strip(b" \t\n").lower()
    if stripped not in words:
        return Understanding()
    exact = data.removesuffix(b"\n") in words
    return Understanding((words.index(stripped),), required=exact)


def guid(data: bytes) -> Understanding:
    """A GUID in its text form, as the bytes of ``guid_t``; text behind it is free."""
    found = _GUID.match(data)
    if found is None:
        return Understanding()
    value = uuid.UUID(found[0].decode()).bytes_le
    return Understanding((value,), required=data[found.end() :] in (b"", b"\n"))


def name_of_service(data: bytes) -> Understanding:
    """The name of a service without one line feed at its end.

    Printable ASCII without blanks must be accepted; anything else is free.
    """
    text = data.removesuffix(b"\n")
    cut = text.split(b"\0")[0]
    values = tuple(dict.fromkeys((cut, cut.strip(b" \t\n"))))
    return Understanding(values, required=_ORDINARY_NAME.fullmatch(text) is not None)


def hexadecimal(data: bytes, longest: int) -> Understanding:
    """A nonce as hexadecimal digits; capitals, blanks, a prefix and an empty text are free."""
    text = data.split(b"\0")[0].strip(b" \t\n").lower().removeprefix(b"0x")
    if len(text) % 2 or len(text) > 2 * longest or not re.fullmatch(rb"[0-9a-f]*", text):
        return Understanding()
    exact = bool(text) and data.removesuffix(b"\n") == text
    return Understanding((bytes.fromhex(text.decode()),), required=exact)


def compose(content: bytes, offset: int, data: bytes) -> bytes:
    """``content`` after ``data`` was written at ``offset``; a hole is filled with zeroes."""
    return content[:offset].ljust(offset, b"\0") + data + content[offset + len(data) :]
