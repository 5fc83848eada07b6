# SPDX-License-Identifier: MIT
"""The certificate table of an extended report, which a guest reads as ``auxblob``.

Array of 24-byte entries {GUID 16, offset u32, length u32}, ended by an all-zero one; the
contents follow, their offsets counted from the table's start. GUIDs are in textual byte order,
integers little-endian (AMD, GHCB specification, document 56421, SNP Extended Guest Request).
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from uuid import UUID

from providers_sim.errors import EvidenceError

__all__ = ["BUFFER_SIZE", "GUIDS", "encode_table", "parse_table", "raw_entry"]

BUFFER_SIZE = 16384
"""Bytes the kernel offers for the table (SEV_FW_BLOB_MAX_SIZE, drivers/virt/coco/sev-guest)."""

GUIDS = {
    "VCEK": UUID("63da758d-e664-4564-adc5-f4b93be8accd"),
    "VLEK": UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"),
    "ASK": UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"),
    "ARK": UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"),
    "CRL": UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"),
    "Google platform info": UUID("ecae0c0f-9502-43b1-afa2-0ae2e0d565b6"),
}
"""What each entry is; the ASK's GUID is also the ASVK's."""

_ENTRY = Struct("<16sII")


def raw_entry(guid: UUID, offset: int, length: int) -> bytes:
    """Encode one entry, whatever it claims."""
    return _ENTRY.pack(guid.bytes, offset, length)


def encode_table(entries: Iterable[tuple[UUID, bytes]]) -> bytes:
    """Encode the table of these contents, in their order."""
    entries = list(entries)
    offset = _ENTRY.size * (len(entries) + 1)
    head = b""
    for guid, content in entries:
        head += raw_entry(guid, offset, len(content))
        offset += len(content)
    return head + bytes(_ENTRY.size) + b"".join(content for _, content in entries)


def parse_table(table: bytes) -> list[tuple[UUID, bytes]]:
    """Decode such a table; bytes after the last content are allowed, as in a padded buffer.

    Raises EvidenceError when it has no end, or an entry is empty, lies outside the table or
    inside its head, comes twice or has another's bytes.
    """
    claims = _claims(table)
    head = _ENTRY.size * (len(claims) + 1)
    found: dict[UUID, bytes] = {}
    end = head
    for guid, offset, length in sorted(claims, key=lambda claim: claim[1]):
        if offset < end or length == 0 or offset + length > len(table) or guid in found:
            raise EvidenceError(
                f"certificate {guid} claims {length} bytes at {offset} of a {len(table)}-byte table"
            )
        found[guid] = table[offset : offset + length]
        end = offset + length
    return [(guid, found[guid]) for guid, _, _ in claims]


def _claims(table: bytes) -> list[tuple[UUID, int, int]]:
    claims: list[tuple[UUID, int, int]] = []
    for pos in range(0, len(table) - _ENTRY.size + 1, _ENTRY.size):
        entry = table[pos : pos + _ENTRY.size]
        if not any(entry):
            return claims
        guid, offset, length = _ENTRY.unpack(entry)
        claims.append((UUID(bytes=guid), offset, length))
    raise EvidenceError("the certificate table has no end")
