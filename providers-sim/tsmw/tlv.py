# SPDX-License-Identifier: MIT
"""TLVs: tag u16, reserved u16 (0), length u32, then the value; all little-endian.

A message that consists of TLVs declares each of its members once, in a table of ``Member``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tsmw.constants import MAX_PAYLOAD, MAX_TLVS, OPTIONAL_TLV
from tsmw.errors import UnknownTlvError, WireError
from tsmw.layout import Layout, decode_u32, encode_u32

__all__ = ["TLV_HEAD", "Member", "decode_members", "decode_tlvs", "encode_members", "encode_tlvs"]

TLV_HEAD = Layout("a TLV", "HHI")


@dataclass(frozen=True, slots=True)
class Member:
    """A message's attribute that one TLV carries: a u32, bytes, or ASCII text without NUL.

    ``limits`` are the smallest and largest size of bytes or text.
    """

    name: str
    kind: type[int] | type[bytes] | type[str]
    limits: tuple[int, int] = (0, MAX_PAYLOAD)
    required: bool = False

    def encode(self, value: int | bytes | str) -> bytes:
        """Encode the attribute's value."""
        if isinstance(value, int):
            return encode_u32(self.name, value)
        return self._checked(value.encode() if isinstance(value, str) else value)

    def decode(self, value: bytes) -> int | bytes | str:
        """Decode the TLV's value."""
        if self.kind is int:
            return decode_u32(self.name, value)
        self._checked(value)
        return value if self.kind is bytes else value.decode()

    def _checked(self, value: bytes) -> bytes:
        least, most = self.limits
        if not least <= len(value) <= most:
            raise WireError(f"{self.name} must have {least} to {most} bytes, not {len(value)}")
        if self.kind is str and (not value.isascii() or b"\0" in value):
            raise WireError(f"{self.name} must be ASCII without NUL, not {value!r}")
        return value


def encode_members(message: object, table: Mapping[int, Member]) -> bytes:
    """Encode the attributes of ``message`` that are not None, in the table's order."""
    values = ((tag, member, getattr(message, member.name)) for tag, member in table.items())
    return encode_tlvs(
        (tag, member.encode(value)) for tag, member, value in values if value is not None
    )


def decode_members(message: str, data: bytes, table: Mapping[int, Member]) -> dict[str, Any]:
    """Decode the TLVs in ``data``; return the values of the attributes that they carry.

    Raises UnknownTlvError on a mandatory TLV that is not in the table, WireError when a required
    TLV is missing or a value is malformed. ``message`` is the message's name in errors.
    """
    tlvs = dict(decode_tlvs(data))
    for tag in tlvs:
        if tag not in table and not tag & OPTIONAL_TLV:
            raise UnknownTlvError(f"{message} has the unknown mandatory TLV {tag:#x}")
    for tag, member in table.items():
        if member.required and tag not in tlvs:
            raise WireError(f"{message} lacks the TLV {member.name}")
    return {table[tag].name: table[tag].decode(tlvs[tag]) for tag in tlvs if tag in table}


def encode_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Encode ``(tag, value)`` pairs in their order."""
    return b"".join(TLV_HEAD.pack(tag, 0, len(value)) + value for tag, value in tlvs)


def decode_tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the ``(tag, value)`` pairs in ``data``.

    Raises WireError on a TLV that exceeds the data, on more than MAX_TLVS, on a repeated tag
    and on a reserved field that is not 0.
    """
    seen: set[int] = set()
    pos = 0
    while pos < len(data):
        tag, reserved, length = TLV_HEAD.unpack_from(data, pos)
        pos += TLV_HEAD.size
        if reserved != 0:
            raise WireError(f"TLV {tag:#x} has {reserved:#x} in its reserved field")
        if length > len(data) - pos:
            raise WireError(f"TLV {tag:#x} has {length} bytes, but only {len(data) - pos} follow")
        if tag in seen:
            raise WireError(f"TLV {tag:#x} is repeated")
        seen.add(tag)
        if len(seen) > MAX_TLVS:
            raise WireError(f"a message has more than {MAX_TLVS} TLVs")
        yield tag, data[pos : pos + length]
        pos += length
