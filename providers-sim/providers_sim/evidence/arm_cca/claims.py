# SPDX-License-Identifier: MIT
"""Realm and platform claims: their labels and sizes, and their encoding as CBOR.

Source: Arm DEN0137, Realm Management Monitor specification, section "Realm token and CCA platform
token"; draft-ffm-rats-cca-token. Realm claims without ``profile`` use the older encoding, whose
public key is an uncompressed point instead of a COSE_Key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeVar

from providers_sim.evidence.claim_maps import from_map, require, to_map
from providers_sim.evidence.cose import decode, encode

__all__ = [
    "HASHES",
    "PROFILES",
    "REM_COUNT",
    "PlatformClaims",
    "RealmClaims",
    "SwComponent",
    "decode_claims",
    "encode_claims",
]

HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash algorithms by name, with the bytes of their digests."""
REM_COUNT = 4
PROFILES = {
    "legacy": (None, "http://arm.com/CCA-SSD/1.0.0"),
    "2023": ("tag:arm.com,2023:realm#1.0.0", "tag:arm.com,2023:cca_platform#1.0.0"),
}
"""Profile claims of the realm and the platform."""

_CHALLENGE, _PERSONALIZATION, _POINT = 64, 64, 97
_UEID_RANDOM = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmClaims:
    """The RMM's claims about a realm."""

    profile: Annotated[str | None, 265]
    challenge: Annotated[bytes, 10]
    personalization: Annotated[bytes, 44235]
    hash_algorithm: Annotated[str, 44236]
    public_key: Annotated[bytes, 44237]
    initial_measurement: Annotated[bytes, 44238]
    extensible_measurements: Annotated[tuple[bytes, ...], 44239]
    key_hash_algorithm: Annotated[str, 44240]

    def check(self) -> None:
        """Raise EvidenceError when a member violates the specification."""
        size = HASHES.get(self.hash_algorithm, 0)
        require(self.profile in (None, PROFILES["2023"][0]), "the realm's profile is unknown")
        require(len(self.challenge) == _CHALLENGE, "a realm's challenge must have 64 bytes")
        require(
            len(self.personalization) == _PERSONALIZATION,
            "a personalization value must have 64 bytes",
        )
        require(size > 0 and self.key_hash_algorithm in HASHES, "a hash algorithm is unknown")
        require(
            len(self.initial_measurement) == size,
            f"the RIM must have the {size} bytes of its hash",
        )
        rems = self.extensible_measurements
        require(len(rems) == REM_COUNT, f"a realm must have {REM_COUNT} extensible measurements")
        require(
            all(isinstance(rem, bytes) and len(rem) == size for rem in rems),
            f"a REM must have the {size} bytes of its hash",
        )
        if self.profile is None:
            point = self.public_key
            require(
                len(point) == _POINT and point[0] == 4,
                "the RAK must be an uncompressed P-384 point",
            )
        else:
            key = decode(self.public_key)
            require(
                isinstance(key, dict) and key.get(1) == 2,
                "the RAK must be a COSE_Key of type EC2",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SwComponent:
    """One measured component of the platform."""

    type: Annotated[str | None, 1] = None
    measurement: Annotated[bytes, 2]
    version: Annotated[str | None, 4] = None
    signer_id: Annotated[bytes, 5]
    hash_algorithm: Annotated[str | None, 6] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaims:
    """The platform's claims about itself; ``challenge`` is the hash of the realm's public key."""

    profile: Annotated[str, 265]
    challenge: Annotated[bytes, 10]
    implementation_id: Annotated[bytes, 2396]
    instance_id: Annotated[bytes, 256]
    config: Annotated[bytes, 2401]
    lifecycle: Annotated[int, 2395]
    sw_components: Annotated[tuple[SwComponent, ...], 2399]
    verification_service: Annotated[str | None, 2400] = None
    hash_algorithm: Annotated[str, 2402]

    def check(self) -> None:
        """Raise EvidenceError when a member violates the specification."""
        sizes = HASHES.values()
        known = [platform for _, platform in PROFILES.values()]
        require(self.profile in known, "the platform's profile is unknown")
        require(len(self.challenge) in sizes, "a platform's challenge must be a digest")
        require(len(self.implementation_id) == 32, "an implementation id must have 32 bytes")
        instance = self.instance_id
        require(
            len(instance) == 33 and instance[0] == _UEID_RANDOM,
            "an instance id must be the byte 01 and 32 more",
        )
        require(0 <= self.lifecycle <= 0xFFFF, "a lifecycle must have 16 bits")
        require(self.hash_algorithm in HASHES, "the platform's hash algorithm is unknown")
        for component in self.sw_components:
            measurement, signer = component.measurement, component.signer_id
            require(len(measurement) in sizes, "a component's measurement must be a digest")
            require(len(signer) in sizes, "a component's signer id must be a digest")


C = TypeVar("C", RealmClaims, PlatformClaims)


def encode_claims(claims: RealmClaims | PlatformClaims) -> bytes:
    """Encode claims without the absent ones; EvidenceError when one violates the specification."""
    claims.check()
    return encode(to_map(claims))


def decode_claims(kind: type[C], payload: bytes) -> C:
    """Decode claims of ``kind``; EvidenceError when they violate the specification."""
    claims = from_map(kind, decode(payload))
    claims.check()
    return claims
