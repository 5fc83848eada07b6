# SPDX-License-Identifier: MIT
"""Structures of tsmw.h: little-endian, without padding."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

from tsmw.errors import WireError

__all__ = ["Layout", "decode_u32", "encode_u32"]


class Layout:
    """One structure, or the head of a longer message, as a ``struct`` format without "<".

    ``name`` is the message's name in errors; ``size`` is in bytes.
    """

    __slots__ = ("name", "size", "struct")

    def __init__(self, name: str, members: str) -> None:
        self.name = name
        self.struct = Struct("<" + members)
        self.size = self.struct.size

    def pack(self, *values: int) -> bytes:
        """Encode the members; WireError when a value does not fit its member."""
        try:
            return self.struct.pack(*values)
        except StructError as error:
            raise WireError(f"a number in {self.name} is out of range: {error}") from None

    def unpack(self, data: bytes) -> tuple[Any, ...]:
        """Decode ``data``; WireError when it has another size."""
        if len(data) != self.size:
            raise WireError(f"{self.name} has {self.size} bytes, not {len(data)}")
        return self.struct.unpack(data)

    def unpack_from(self, data: bytes, start: int = 0) -> tuple[Any, ...]:
        """Decode the members at ``start``; WireError when ``data`` ends before they do."""
        if len(data) - start < self.size:
            raise WireError(
                f"{self.name} has at least {self.size} bytes, not {max(len(data) - start, 0)}"
            )
        return self.struct.unpack_from(data, start)


def encode_u32(message: str, value: int) -> bytes:
    """Encode a value that is one unsigned integer; ``message`` is its name in errors."""
    if not 0 <= value <= 0xFFFF_FFFF:
        raise WireError(f"{message} is an unsigned 32-bit integer, not {value}")
    return value.to_bytes(4, "little")


def decode_u32(message: str, data: bytes) -> int:
    """Decode a value that is one unsigned integer; ``message`` is its name in errors."""
    if len(data) != 4:
        raise WireError(f"{message} has 4 bytes, not {len(data)}")
    return int.from_bytes(data, "little")
