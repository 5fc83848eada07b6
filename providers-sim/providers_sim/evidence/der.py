# SPDX-License-Identifier: MIT
"""The DER types (ITU-T X.690) that vendors' own certificate extensions use."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from providers_sim.errors import EvidenceError

__all__ = ["Tag", "decode_oid", "encode", "ia5_string", "integer", "items", "oid", "sequence"]


class Tag(IntEnum):
    """Tags of the universal class; a SEQUENCE is constructed."""

    BOOLEAN = 0x01
    INTEGER = 0x02
    OCTET_STRING = 0x04
    OBJECT_IDENTIFIER = 0x06
    ENUMERATED = 0x0A
    IA5_STRING = 0x16
    SEQUENCE = 0x30


def encode(tag: Tag, content: bytes) -> bytes:
    """Encode an item from its tag and content."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int) -> bytes:
    """Encode a non-negative INTEGER."""
    return encode(Tag.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def ia5_string(text: str) -> bytes:
    """Encode an IA5String."""
    return encode(Tag.IA5_STRING, text.encode("ascii"))


def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytes((40 * first + second,))
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        content += bytes(reversed(digits))
    return encode(Tag.OBJECT_IDENTIFIER, content)


def sequence(*members: bytes) -> bytes:
    """Encode a SEQUENCE of encoded members."""
    return encode(Tag.SEQUENCE, b"".join(members))


def items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each item; EvidenceError when one is longer than ``data``."""
    pos = 0
    while pos < len(data):
        head = data[pos : pos + 2]
        pos += 2
        if len(head) < 2:
            raise EvidenceError("a DER item has no length")
        size = head[1]
        if size >= 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[pos : pos + count], "big")
            pos += count
        if pos + size > len(data):
            raise EvidenceError("a DER item is longer than the data")
        yield head[0], data[pos : pos + size]
        pos += size


def decode_oid(content: bytes) -> str:
    """Decode the content of an OBJECT IDENTIFIER; EvidenceError when it is empty."""
    if not content:
        raise EvidenceError("an OBJECT IDENTIFIER is empty")
    numbers, value = [*divmod(content[0], 40)], 0
    for byte in content[1:]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))
