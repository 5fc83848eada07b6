# SPDX-License-Identifier: MIT
"""The certificate table of an extended report, which a guest reads as ``auxblob``.

An array of 24-byte entries {GUID 16, offset u32, length u32} ends with an all-zero entry; the
contents follow, at offsets from the table's start. GUIDs are in textual byte order, integers
little-endian (AMD, GHCB specification, document 56421, SNP Extended Guest Request).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import Struct
from uuid import UUID

from providers_sim.errors import EvidenceError

__all__ = [
    "BUFFER_SIZE",
    "ENTRY_SIZE",
    "GUIDS",
    "encode_entry",
    "encode_table",
    "iter_entries",
    "parse_table",
]

BUFFER_SIZE = 16384
"""Size of the kernel's buffer for the table (SEV_FW_BLOB_MAX_SIZE, drivers/virt/coco/sev-guest)."""

GUIDS = {
    "VCEK": UUID("63da758d-e664-4564-adc5-f4b93be8accd"),
    "VLEK": UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1"),
    "ASK": UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782"),
    "ARK": UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae"),
    "CRL": UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea"),
    "Google platform info": UUID("ecae0c0f-9502-43b1-afa2-0ae2e0d565b6"),
}
"""GUIDs of the contents by name; the ASVK has the ASK's."""

_ENTRY = Struct("<16sII")
ENTRY_SIZE = _ENTRY.size


def encode_entry(guid: UUID, offset: int, length: int) -> bytes:
    """Encode one entry; ``offset`` and ``length`` are not checked."""
    return _ENTRY.pack(guid.bytes, offset, length)


def encode_table(entries: Iterable[tuple[UUID, bytes]]) -> bytes:
    """Encode the table of these contents, in their order."""
    entries = list(entries)
    offset = ENTRY_SIZE * (len(entries) + 1)
    head = b""
    for guid, content in entries:
        head += encode_entry(guid, offset, len(content))
        offset += len(content)
    return head + bytes(ENTRY_SIZE) + b"".join(content for _, content in entries)


def iter_entries(table: bytes) -> Iterator[tuple[UUID, int, int]]:
    """Yield GUID, offset and length of each entry before the all-zero one, unchecked."""
    for pos in range(0, len(table) - ENTRY_SIZE + 1, ENTRY_SIZE):
        if not any(table[pos : pos + ENTRY_SIZE]):
            return
        guid, offset, length = _ENTRY.unpack_from(table, pos)
        yield UUID(bytes=guid), offset, length


def parse_table(table: bytes) -> list[tuple[UUID, bytes]]:
    """Decode a table; bytes after the last content are allowed, as in a padded buffer.

    Raises EvidenceError when the all-zero entry is missing, or when an entry is empty, duplicate,
    outside the table or overlaps the entries or another content.
    """
    entries = list(iter_entries(table))
    end = ENTRY_SIZE * (len(entries) + 1)
    if end > len(table):
        raise EvidenceError("the certificate table has no all-zero entry")
    contents: dict[UUID, bytes] = {}
    for guid, offset, length in sorted(entries, key=lambda entry: entry[1]):
        if offset < end or length == 0 or offset + length > len(table) or guid in contents:
            raise EvidenceError(
                f"certificate {guid} claims {length} bytes at {offset} of a {len(table)}-byte table"
            )
        contents[guid] = table[offset : offset + length]
        end = offset + length
    return [(guid, contents[guid]) for guid, _, _ in entries]
