# SPDX-License-Identifier: MIT
"""Service manifests of an SVSM, which a guest reads as ``manifestblob``.

The manifest of all services is a GUID table: header {GUID 16, total length u32, entry count
u32}, entries {service GUID 16, offset u32 from the table's start, length u32}, then the
contents; integers little-endian and GUIDs in mixed-endian order (AMD, Secure VM Service Module,
document 58019, Attestation Protocol). The manifest of a single service is its content only.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import EvidenceError
from providers_sim.keys import public_point

__all__ = [
    "SERVICES_TABLE",
    "UEFI_MM",
    "VTPM",
    "encode_services",
    "endorsement_key_area",
    "parse_services",
]

SERVICES_TABLE = UUID("63849ebb-3d92-4670-a1ff-58f9c94b87bb")
VTPM = UUID("c476f1eb-0123-45a5-9641-b4e7dde5bfe3")
UEFI_MM = UUID("a4453a59-9e1b-4787-a033-1986d6adbe55")

_HEAD = Struct("<16sII")
_ENTRY = Struct("<16sII")

# TCG EK Credential Profile, version 2.5, template L-2 (ECC NIST P-256): type ECC, name algorithm
# SHA-256, object attributes, authorisation policy, AES-128-CFB, no scheme, the curve, no KDF.
_EK_TEMPLATE = (
    bytes.fromhex("0023 000b 000300b2 0020")
    + bytes.fromhex("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa")
    + bytes.fromhex("0006 0080 0043 0010 0003 0010")
)


def encode_services(services: Iterable[tuple[UUID, bytes]]) -> bytes:
    """Encode the manifest of all services from the manifests of each."""
    services = list(services)
    offset = _HEAD.size + _ENTRY.size * len(services)
    total = offset + sum(len(content) for _, content in services)
    table = _HEAD.pack(SERVICES_TABLE.bytes_le, total, len(services))
    for guid, content in services:
        table += _ENTRY.pack(guid.bytes_le, offset, len(content))
        offset += len(content)
    return table + b"".join(content for _, content in services)


def parse_services(manifest: bytes) -> list[tuple[UUID, bytes]]:
    """Decode the manifest of all services.

    Raises EvidenceError when it is not such a table, or when the contents leave gaps, overlap or
    do not end with the table.
    """
    if len(manifest) < _HEAD.size:
        raise EvidenceError(f"{len(manifest)} bytes are too short for a manifest of all services")
    guid, total, count = _HEAD.unpack_from(manifest)
    if guid != SERVICES_TABLE.bytes_le:
        raise EvidenceError(f"{UUID(bytes_le=guid)} is not the GUID of a services table")
    end = _HEAD.size + _ENTRY.size * count
    if total != len(manifest) or end > total:
        raise EvidenceError(
            f"a manifest of {len(manifest)} bytes claims {total}, with {count} entries"
        )
    found = []
    for n in range(count):
        name, offset, length = _ENTRY.unpack_from(manifest, _HEAD.size + n * _ENTRY.size)
        if offset != end or length > total - end:
            raise EvidenceError(f"service {UUID(bytes_le=name)} does not follow the one before")
        end += length
        found.append((UUID(bytes_le=name), manifest[offset:end]))
    if end != total:
        raise EvidenceError(f"{total - end} bytes of the manifest belong to no service")
    return found


def endorsement_key_area(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return the TPMT_PUBLIC of a P-256 endorsement key, which is a virtual TPM's manifest.

    122 bytes, big-endian (TPM 2.0 Library, part 2, section 12.2.4).
    """
    point = public_point(key)
    x, y = point[:32], point[32:]
    return _EK_TEMPLATE + b"".join(len(half).to_bytes(2, "big") + half for half in (x, y))
