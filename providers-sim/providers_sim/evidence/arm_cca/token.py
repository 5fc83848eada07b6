# SPDX-License-Identifier: MIT
"""A CCA token: the platform token and the realm token, each a COSE_Sign1, in one collection.

Tag 399 around {44234: bstr, 44241: bstr} (RMM 1.0), or tag 907 around {44234: [263, bstr], 44241:
[263, bstr]} (draft-ffm-rats-cca-token, as an RFC 9711 collection of CWTs). The platform token is
signed with the CPAK, the realm token with the RAK, both ES384. The platform's challenge is the
hash of the public key in the realm claims, which binds the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import EvidenceError
from providers_sim.evidence.arm_cca.claims import (
    PlatformClaims,
    RealmClaims,
    decode_claims,
    encode_claims,
)
from providers_sim.evidence.cose import decode, encode, parse_sign1, sign1
from providers_sim.measurements import digest

__all__ = [
    "CMW_TAG",
    "LEGACY_TAG",
    "PLATFORM_TOKEN",
    "REALM_TOKEN",
    "CcaToken",
    "Outer",
    "bind",
    "encode_token",
    "parse_token",
    "sign_claims",
]

Outer = Literal["legacy", "cmw"]

LEGACY_TAG, CMW_TAG = 399, 907
PLATFORM_TOKEN, REALM_TOKEN = 44234, 44241
_CWT_CONTENT_FORMAT = 263
_ES384 = -35
_SIGNATURE_SIZE = 96


@dataclass(frozen=True, slots=True)
class CcaToken:
    """A decoded token: its outer form, the claims, the two encoded COSE_Sign1."""

    outer: Outer
    platform: PlatformClaims
    realm: RealmClaims
    platform_token: bytes
    realm_token: bytes


def bind(realm: RealmClaims) -> bytes:
    """Return the challenge of the platform token that binds these realm claims."""
    return digest(realm.key_hash_algorithm, realm.public_key)


def sign_claims(claims: RealmClaims | PlatformClaims, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the encoded COSE_Sign1 over ``claims``; errors are those of ``encode_claims``."""
    return encode(sign1(encode_claims(claims), key, _ES384))


def encode_token(outer: Outer, platform_token: bytes, realm_token: bytes) -> bytes:
    """Encode the collection of the two signed tokens."""
    tokens = {PLATFORM_TOKEN: platform_token, REALM_TOKEN: realm_token}
    if outer == "legacy":
        return encode(cbor2.CBORTag(LEGACY_TAG, tokens))
    wrapped = {label: [_CWT_CONTENT_FORMAT, token] for label, token in tokens.items()}
    return encode(cbor2.CBORTag(CMW_TAG, wrapped))


def parse_token(blob: bytes) -> CcaToken:
    """Decode a token; signatures are not verified.

    Raises EvidenceError on another outer tag, a missing or unknown member, CBOR that is not in
    its shortest form, an algorithm other than ES384, claims that violate the specification, or a
    platform token that does not bind the realm's key.
    """
    outer, tokens = _unwrap(decode(blob))
    payloads = []
    for token in tokens:
        message = parse_sign1(decode(token))
        if message.protected != {1: _ES384} or len(message.signature) != _SIGNATURE_SIZE:
            raise EvidenceError("a token must be signed with ES384")
        payloads.append(message.payload)
    platform = decode_claims(PlatformClaims, payloads[0])
    realm = decode_claims(RealmClaims, payloads[1])
    if platform.challenge != bind(realm):
        raise EvidenceError("the platform token binds another realm key")
    return CcaToken(outer, platform, realm, *tokens)


def _unwrap(value: object) -> tuple[Outer, tuple[bytes, bytes]]:
    match value:
        case cbor2.CBORTag(tag=399, value=dict(tokens)):
            outer: Outer = "legacy"
            found = [tokens.get(label) for label in (PLATFORM_TOKEN, REALM_TOKEN)]
        case cbor2.CBORTag(tag=907, value=dict(tokens)):
            outer = "cmw"
            found = [_record(tokens.get(label)) for label in (PLATFORM_TOKEN, REALM_TOKEN)]
        case _:
            raise EvidenceError(f"a CCA token must have tag {LEGACY_TAG} or {CMW_TAG}")
    platform, realm = found
    if len(tokens) != 2 or not isinstance(platform, bytes) or not isinstance(realm, bytes):
        raise EvidenceError("a CCA token must have exactly a platform token and a realm token")
    return outer, (platform, realm)


def _record(value: object) -> object:
    match value:
        case [263, bytes(token)]:
            return token
    return None
