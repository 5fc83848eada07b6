# SPDX-License-Identifier: MIT
"""Realm and platform claims: their labels, their sizes, and how they become CBOR.

Source: Arm DEN0137, Realm Management Monitor specification, section "Realm token and CCA platform
token"; draft-ffm-rats-cca-token. ``profile`` absent from realm claims marks the older encoding,
whose public key is an uncompressed point instead of a COSE_Key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cbor2

from providers_sim.evidence.claim_maps import claim_list, claim_map, members, need, to_map
from providers_sim.evidence.cose import decode

__all__ = [
    "HASHES",
    "PLATFORM_LABELS",
    "PROFILES",
    "REALM_LABELS",
    "REM_COUNT",
    "SW_COMPONENT_LABELS",
    "PlatformClaims",
    "RealmClaims",
    "SwComponent",
    "decode_platform",
    "decode_realm",
    "encode_claims",
]

T = TypeVar("T", bound="RealmClaims | PlatformClaims")

HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Hash algorithms by name, with the bytes of their digests."""
REM_COUNT = 4
PROFILES = {
    "legacy": (None, "http://arm.com/CCA-SSD/1.0.0"),
    "2023": ("tag:arm.com,2023:realm#1.0.0", "tag:arm.com,2023:cca_platform#1.0.0"),
}
"""What realm and platform claims say of their profile."""

REALM_LABELS = {
    "profile": 265,
    "challenge": 10,
    "personalization": 44235,
    "hash_algorithm": 44236,
    "public_key": 44237,
    "initial_measurement": 44238,
    "extensible_measurements": 44239,
    "key_hash_algorithm": 44240,
}
PLATFORM_LABELS = {
    "profile": 265,
    "challenge": 10,
    "implementation_id": 2396,
    "instance_id": 256,
    "config": 2401,
    "lifecycle": 2395,
    "sw_components": 2399,
    "verification_service": 2400,
    "hash_algorithm": 2402,
}
SW_COMPONENT_LABELS = {
    "type": 1,
    "measurement": 2,
    "version": 4,
    "signer_id": 5,
    "hash_algorithm": 6,
}

_CHALLENGE, _PERSONALIZATION, _POINT = 64, 64, 97
_UEID_RANDOM = 0x01


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmClaims:
    """What the RMM says of a realm."""

    profile: str | None
    challenge: bytes
    personalization: bytes
    hash_algorithm: str
    public_key: bytes
    initial_measurement: bytes
    extensible_measurements: tuple[bytes, ...]
    key_hash_algorithm: str

    def check(self) -> None:
        """Raise EvidenceError when a member breaks the specification."""
        size = HASHES.get(self.hash_algorithm, 0)
        need(self.profile in (None, PROFILES["2023"][0]), "the realm's profile is unknown")
        need(len(self.challenge) == _CHALLENGE, "a realm's challenge has 64 bytes")
        need(len(self.personalization) == _PERSONALIZATION, "a personalization has 64 bytes")
        need(size > 0 and self.key_hash_algorithm in HASHES, "a hash algorithm is unknown")
        need(len(self.initial_measurement) == size, "the RIM has another size than its hash")
        rems = self.extensible_measurements
        need(len(rems) == REM_COUNT, f"a realm has {REM_COUNT} extensible measurements")
        need(all(isinstance(rem, bytes) and len(rem) == size for rem in rems), "a REM's size")
        if self.profile is None:
            point = self.public_key
            need(len(point) == _POINT and point[0] == 4, "the RAK is no uncompressed P-384 point")
        else:
            key = decode(self.public_key)
            need(isinstance(key, dict) and key.get(1) == 2, "the RAK is no COSE_Key of kind EC2")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwComponent:
    """One measured component of the platform; all but measurement and signer may be absent."""

    type: str | None = None
    measurement: bytes
    version: str | None = None
    signer_id: bytes
    hash_algorithm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaims:
    """What the platform says of itself; ``challenge`` is the hash of the realm's public key."""

    profile: str
    challenge: bytes
    implementation_id: bytes
    instance_id: bytes
    config: bytes
    lifecycle: int
    sw_components: tuple[SwComponent, ...]
    verification_service: str | None = None
    hash_algorithm: str

    def check(self) -> None:
        """Raise EvidenceError when a member breaks the specification."""
        known = [platform for _, platform in PROFILES.values()]
        need(self.profile in known, "the platform's profile is unknown")
        need(len(self.challenge) in HASHES.values(), "a platform's challenge is a digest")
        need(len(self.implementation_id) == 32, "an implementation id has 32 bytes")
        instance = self.instance_id
        need(len(instance) == 33 and instance[0] == _UEID_RANDOM, "an instance id is 01 and 32")
        need(0 <= self.lifecycle <= 0xFFFF, "a lifecycle has 16 bits")
        need(self.hash_algorithm in HASHES, "the platform's hash algorithm is unknown")
        for component in self.sw_components:
            sizes = HASHES.values()
            need(len(component.measurement) in sizes, "a component's measurement is no digest")
            need(len(component.signer_id) in sizes, "a component's signer id is no digest")


def encode_claims(claims: RealmClaims | PlatformClaims) -> bytes:
    """Encode claims; absent ones are left out. Raises EvidenceError when one is wrong."""
    claims.check()
    labels = REALM_LABELS if isinstance(claims, RealmClaims) else PLATFORM_LABELS
    encoded: bytes = cbor2.dumps(to_map(claims, labels, {SwComponent: SW_COMPONENT_LABELS}))
    return encoded


def decode_realm(payload: bytes) -> RealmClaims:
    """Decode realm claims; EvidenceError on anything that breaks the specification."""
    found = members(RealmClaims, claim_map(decode(payload)), REALM_LABELS)
    found["extensible_measurements"] = tuple(claim_list(found["extensible_measurements"]))
    return _checked(RealmClaims(**found))


def decode_platform(payload: bytes) -> PlatformClaims:
    """Decode platform claims; EvidenceError on anything that breaks the specification."""
    found = members(PlatformClaims, claim_map(decode(payload)), PLATFORM_LABELS)
    found["sw_components"] = tuple(
        SwComponent(**members(SwComponent, claim_map(item), SW_COMPONENT_LABELS))
        for item in claim_list(found["sw_components"])
    )
    return _checked(PlatformClaims(**found))


def _checked(claims: T) -> T:
    claims.check()
    return claims
