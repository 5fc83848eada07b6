# SPDX-License-Identifier: MIT
"""Claims of the platform, TSM and TVM tokens, and their encoding as CBOR.

Source: riscv-non-isa/riscv-ap-tee, "TVM Attestation and Measurements", sections "Platform Token",
"TSM Token", "TVM Token" and "Evidence Format". Each map of claims is under tag 61 (CWT).

The specification fixes the labels that CWT and EAT define and leaves its own "TBD". Those are
chosen here from the range that RFC 8392 reserves for private use (below -65536).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import cbor2

from providers_sim.errors import EvidenceError
from providers_sim.evidence.claim_maps import from_map, require, to_map
from providers_sim.evidence.cose import decode, encode, parse_cose_key

__all__ = [
    "CWT_TAG",
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
"""Maximum numbers of initial and of runtime measurements."""

_CHALLENGE = _IDENTITY = _MANUFACTURER = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One measured component of the platform or the TSM."""

    type: Annotated[str, 1]
    measurement: Annotated[bytes, 2]
    svn: Annotated[str, 3]
    manifest: Annotated[bytes | None, 4] = None
    signer: Annotated[bytes, 5]
    hash_algorithm: Annotated[str, 6]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measurement register of a TVM."""

    register: Annotated[int, 1]
    value: Annotated[bytes, 2]
    hash_algorithm: Annotated[str, 3]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformClaims:
    """The root of trust's claims about the platform; ``public_key`` is an encoded COSE_Key."""

    profile: Annotated[str, 265]  # riscv-cove-eat-profile (EAT profile)
    public_key: Annotated[bytes, -70001]  # platform-public-key
    manufacturer_id: Annotated[bytes, -70002]  # platform-manufacturer-id
    state: Annotated[int, -70003]  # platform-state
    sw_components: Annotated[tuple[Component, ...], -70004]  # platform-sw-components

    def check(self) -> None:
        """Raise EvidenceError when a member violates the specification."""
        require(self.profile == PROFILE, f"the profile must be {PROFILE}")
        require(
            len(self.manufacturer_id) == _MANUFACTURER,
            f"a manufacturer id must have {_MANUFACTURER} bytes",
        )
        require(self.state in STATES.values(), "a platform's state must be 1 to 4")
        require(len(self.sw_components) > 0, "a platform must have a component")
        parse_cose_key(decode(self.public_key))
        _check_components(self.sw_components)


@dataclass(frozen=True, slots=True, kw_only=True)
class TsmClaims:
    """The platform's claims about the TSM: its key, the TSM-driver and the TSM."""

    public_key: Annotated[bytes, -70005]  # tsm-public-key
    sw_components: Annotated[tuple[Component, ...], -70006]  # tsm-sw-components

    def check(self) -> None:
        """Raise EvidenceError when a member violates the specification."""
        require(len(self.sw_components) == 2, "a TSM must have the components TSM-driver and TSM")
        parse_cose_key(decode(self.public_key))
        _check_components(self.sw_components)


@dataclass(frozen=True, slots=True, kw_only=True)
class TvmClaims:
    """The TSM's claims about a TVM."""

    challenge: Annotated[bytes, 10]  # tvm-challenge (EAT nonce)
    identity: Annotated[bytes | None, -70007] = None  # tvm-identity
    public_key: Annotated[bytes, -70008]  # tvm-public-key
    initial_measurements: Annotated[tuple[Measurement, ...], -70009]  # tvm-initial-measurements
    runtime_measurements: Annotated[tuple[Measurement, ...] | None, -70010] = (
        None  # tvm-runtime-measurements
    )

    def check(self) -> None:
        """Raise EvidenceError when a member violates the specification."""
        require(len(self.challenge) == _CHALLENGE, f"a challenge must have {_CHALLENGE} bytes")
        require(
            self.identity is None or len(self.identity) == _IDENTITY,
            f"an identity must have {_IDENTITY} bytes",
        )
        parse_cose_key(decode(self.public_key))
        for measurements, most in (
            (self.initial_measurements, INITIAL_REGISTERS),
            (self.runtime_measurements, RUNTIME_REGISTERS),
        ):
            if measurements is not None:
                require(1 <= len(measurements) <= most, f"there must be 1 to {most} measurements")
                for measurement in measurements:
                    require(measurement.register >= 0, "a register's number must not be negative")
                    _check_digests(measurement.hash_algorithm, (measurement.value,))


Claims = PlatformClaims | TsmClaims | TvmClaims
C = TypeVar("C", PlatformClaims, TsmClaims, TvmClaims)


def encode_claims(claims: Claims) -> bytes:
    """Encode claims under tag 61; EvidenceError when one violates the specification."""
    claims.check()
    return encode(cbor2.CBORTag(CWT_TAG, to_map(claims)))


def decode_claims(kind: type[C], payload: bytes) -> C:
    """Decode claims of ``kind``; EvidenceError when they violate the specification."""
    value = decode(payload)
    if not isinstance(value, cbor2.CBORTag) or value.tag != CWT_TAG:
        raise EvidenceError(f"claims must be under tag {CWT_TAG}")
    claims = from_map(kind, value.value)
    claims.check()
    return claims


def _check_components(components: tuple[Component, ...]) -> None:
    for component in components:
        digests = [component.measurement, component.signer]
        if component.manifest:
            digests.append(component.manifest)
        _check_digests(component.hash_algorithm, digests)


def _check_digests(algorithm: str, digests: Iterable[bytes]) -> None:
    for digest in digests:
        require(
            len(digest) == HASHES.get(algorithm, 0), f"a digest must have the size of {algorithm}"
        )
