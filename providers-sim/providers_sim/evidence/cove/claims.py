# SPDX-License-Identifier: MIT
"""Claims of the platform, TSM and TVM tokens, and how they become CBOR.

Source: riscv-non-isa/riscv-ap-tee, "TVM Attestation and Measurements", sections "Platform Token",
"TSM Token" and "TVM Token". Each claims map is under tag 61 (CWT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import cbor2

from providers_sim.errors import EvidenceError
from providers_sim.evidence.claim_maps import claim_list, claim_map, members, need, to_map
from providers_sim.evidence.cose import PublicKey, decode, public_key_of
from providers_sim.evidence.cove import labels

__all__ = [
    "HASHES",
    "INITIAL_REGISTERS",
    "PROFILE",
    "RUNTIME_REGISTERS",
    "STATES",
    "Claims",
    "Component",
    "Measurement",
    "PlatformClaims",
    "TsmClaims",
    "TvmClaims",
    "decode_claims",
    "encode_claims",
]

PROFILE = "https://riscv.org/TBD"
CWT_TAG = 61
STATES = {"not-configured": 1, "secured": 2, "debug": 3, "recovery": 4}
HASHES = {"sha-384": 48, "sha-512": 64, "sha3-384": 48, "sha3-512": 64}
"""Hash algorithms by name, with the bytes of their digests."""
INITIAL_REGISTERS, RUNTIME_REGISTERS = 8, 18
"""The most entries of initial and of runtime measurements."""

_CHALLENGE = _IDENTITY = _MANUFACTURER = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One measured component of the platform or the TSM."""

    type: str
    measurement: bytes
    svn: str
    manifest: bytes | None = None
    signer: bytes
    hash_algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement register of a TVM."""

    register: int
    value: bytes
    hash_algorithm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaims:
    """What the root of trust says of the platform; ``public_key`` is an encoded COSE_Key."""

    profile: str
    public_key: bytes
    manufacturer_id: bytes
    state: int
    sw_components: tuple[Component, ...]

    def check(self) -> None:
        """Raise EvidenceError when a member breaks the specification."""
        need(self.profile == PROFILE, f"the profile is {PROFILE}")
        need(len(self.manufacturer_id) == _MANUFACTURER, "a manufacturer id has 64 bytes")
        need(self.state in STATES.values(), "a platform's state is 1 to 4")
        need(len(self.sw_components) > 0, "a platform has a component")
        _check_key(self.public_key)
        _check_components(self.sw_components)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsmClaims:
    """What the platform says of the TSM: its key, the TSM-driver and the TSM."""

    public_key: bytes
    sw_components: tuple[Component, ...]

    def check(self) -> None:
        """Raise EvidenceError when a member breaks the specification."""
        need(len(self.sw_components) == 2, "a TSM's components are the TSM-driver and the TSM")
        _check_key(self.public_key)
        _check_components(self.sw_components)


@dataclass(frozen=True, slots=True, kw_only=True)
class TvmClaims:
    """What the TSM says of a TVM; ``identity`` and ``runtime_measurements`` may be absent."""

    challenge: bytes
    identity: bytes | None = None
    public_key: bytes
    initial_measurements: tuple[Measurement, ...]
    runtime_measurements: tuple[Measurement, ...] | None = None

    def check(self) -> None:
        """Raise EvidenceError when a member breaks the specification."""
        need(len(self.challenge) == _CHALLENGE, "a challenge has 64 bytes")
        need(self.identity is None or len(self.identity) == _IDENTITY, "an identity has 64 bytes")
        _check_key(self.public_key)
        for measured, most in (
            (self.initial_measurements, INITIAL_REGISTERS),
            (self.runtime_measurements, RUNTIME_REGISTERS),
        ):
            if measured is not None:
                need(1 <= len(measured) <= most, f"there are 1 to {most} measurements")
                need(all(one.register >= 0 for one in measured), "an index is not below 0")
                _check_digests((one.hash_algorithm, one.value) for one in measured)


Claims = PlatformClaims | TsmClaims | TvmClaims
C = TypeVar("C", PlatformClaims, TsmClaims, TvmClaims)

_LABELS: dict[type, dict[str, int]] = {
    PlatformClaims: labels.PLATFORM,
    TsmClaims: labels.TSM,
    TvmClaims: labels.TVM,
}
_NESTED: dict[type, dict[str, int]] = {
    Component: labels.COMPONENT,
    Measurement: labels.MEASUREMENT,
}
_ARRAYS: dict[str, type] = {
    "sw_components": Component,
    "initial_measurements": Measurement,
    "runtime_measurements": Measurement,
}


def encode_claims(claims: Claims) -> bytes:
    """Encode claims under tag 61; EvidenceError when one of them is wrong."""
    claims.check()
    tagged = cbor2.CBORTag(CWT_TAG, to_map(claims, _LABELS[type(claims)], _NESTED))
    encoded: bytes = cbor2.dumps(tagged)
    return encoded


def decode_claims(kind: type[C], payload: bytes) -> C:
    """Decode claims of ``kind``; EvidenceError on anything that breaks the specification."""
    value = decode(payload)
    if not isinstance(value, cbor2.CBORTag) or value.tag != CWT_TAG:
        raise EvidenceError("a token's claims are under tag 61")
    found: dict[str, Any] = members(kind, claim_map(value.value), _LABELS[kind])
    for name, item in _ARRAYS.items():
        if found.get(name) is not None:
            found[name] = tuple(
                item(**members(item, claim_map(entry), _NESTED[item]))
                for entry in claim_list(found[name])
            )
    claims = kind(**found)
    claims.check()
    return claims


def _check_key(encoded: bytes) -> PublicKey:
    return public_key_of(decode(encoded))


def _check_components(components: tuple[Component, ...]) -> None:
    for one in components:
        digests = [one.measurement, one.signer, *([one.manifest] if one.manifest else [])]
        _check_digests((one.hash_algorithm, digest) for digest in digests)


def _check_digests(digests: Any) -> None:  # noqa: ANN401 - pairs of name and digest
    for name, digest in digests:
        need(len(digest) == HASHES.get(name, 0), f"a digest has the size of {name}")
