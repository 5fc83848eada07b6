# SPDX-License-Identifier: MIT
"""TLVs: tag u16, reserved u16 (0), length u32, then the value; all little-endian."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct

from tsmw.constants import MAX_TLVS
from tsmw.errors import WireError

__all__ = ["TLV_HEAD", "decode_tlvs", "encode_tlvs", "u32_value"]

TLV_HEAD = Struct("<HHI")


def encode_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Encode ``(tag, value)`` pairs in their order."""
    return b"".join(TLV_HEAD.pack(tag, 0, len(value)) + value for tag, value in tlvs)


def decode_tlvs(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the ``(tag, value)`` pairs that make up ``data``.

    Raises WireError on a TLV that overruns the data, on more than MAX_TLVS, on a tag that
    comes twice and on a reserved field that is not 0.
    """
    seen: set[int] = set()
    pos = 0
    while pos < len(data):
        if len(data) - pos < TLV_HEAD.size:
            raise WireError(f"{len(data) - pos} bytes after the last TLV are no TLV")
        tag, reserved, length = TLV_HEAD.unpack_from(data, pos)
        pos += TLV_HEAD.size
        if reserved != 0:
            raise WireError(f"TLV {tag:#x} has {reserved:#x} in its reserved field")
        if length > len(data) - pos:
            raise WireError(f"TLV {tag:#x} claims {length} bytes of the {len(data) - pos} left")
        if tag in seen:
            raise WireError(f"TLV {tag:#x} comes twice")
        seen.add(tag)
        if len(seen) > MAX_TLVS:
            raise WireError(f"more than {MAX_TLVS} TLVs")
        yield tag, data[pos : pos + length]
        pos += length


def u32_value(tag: int, value: bytes) -> int:
    """Decode a TLV's integer; WireError unless the value is four bytes."""
    if len(value) != 4:
        raise WireError(f"TLV {tag:#x} must carry 4 bytes, not {len(value)}")
    return int.from_bytes(value, "little")
