# SPDX-License-Identifier: MIT
"""The little of DER (ITU-T X.690) that vendors' own certificate extensions are made of."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from providers_sim.errors import EvidenceError

__all__ = [
    "OBJECT_IDENTIFIER",
    "SEQUENCE",
    "boolean",
    "dotted",
    "enumerated",
    "extension_value",
    "ia5_string",
    "integer",
    "items",
    "object_identifier",
    "octet_string",
    "sequence",
]

BOOLEAN, INTEGER, OCTET_STRING, OBJECT_IDENTIFIER, ENUMERATED = 0x01, 0x02, 0x04, 0x06, 0x0A
IA5_STRING, SEQUENCE = 0x16, 0x30


def _item(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def boolean(value: bool) -> bytes:
    """Encode a BOOLEAN."""
    return _item(BOOLEAN, b"\xff" if value else b"\0")


def integer(value: int) -> bytes:
    """Encode an INTEGER that is not negative."""
    return _item(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def enumerated(value: int) -> bytes:
    """Encode an ENUMERATED below 128."""
    return _item(ENUMERATED, bytes((value,)))


def octet_string(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return _item(OCTET_STRING, value)


def ia5_string(text: str) -> bytes:
    """Encode an IA5String."""
    return _item(IA5_STRING, text.encode("ascii"))


def object_identifier(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER."""
    first, second, *rest = (int(part) for part in dotted.split("."))
    content = bytes((40 * first + second,))
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(number & 0x7F | 0x80)
        content += bytes(reversed(digits))
    return _item(OBJECT_IDENTIFIER, content)


def sequence(*members: bytes) -> bytes:
    """Encode a SEQUENCE of members encoded already."""
    return _item(SEQUENCE, b"".join(members))


def items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each item; EvidenceError when one overruns ``data``."""
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
            raise EvidenceError("a DER item overruns its end")
        yield head[0], data[pos : pos + size]
        pos += size


def dotted(content: bytes) -> str:
    """Decode the content of an OBJECT IDENTIFIER; EvidenceError when it has none."""
    if not content:
        raise EvidenceError("an OBJECT IDENTIFIER without content")
    numbers, value = [*divmod(content[0], 40)], 0
    for byte in content[1:]:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    return ".".join(map(str, numbers))


def extension_value(extension: x509.Extension[x509.ExtensionType]) -> bytes:
    """Return the bytes inside an extension, whether ``cryptography`` knows it or not."""
    value = extension.value
    return value.value if isinstance(value, x509.UnrecognizedExtension) else value.public_bytes()
