# SPDX-License-Identifier: MIT
"""CoVE evidence: three chained tokens, bare or in a certificate.

Evidence is an untagged map {266: {"platform": token, "tsm": token, "tvm": token}} (266: EAT
submodules), each token an embedded COSE_Sign1 under tag 18. The root of trust signs the platform
token, the key in the platform token signs the TSM token, the key in the TSM token signs the TVM
token. A CBOR certificate is a COSE_Sign1 by the TSM key over {1: issuer, 2: subject, -70011:
evidence} under tag 61. An X.509 certificate is issued by the TSM and has the evidence, under tag
601, in a critical extension (riscv-ap-tee, sections "Evidence Format" and "Evidence Generation";
TCG DICE Attestation Architecture for the extension's OID).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import cbor2
from cryptography import x509

from providers_sim.errors import EvidenceError
from providers_sim.evidence.claim_maps import from_map, require, to_map
from providers_sim.evidence.cose import PrivateKey, Sign1, decode, encode, parse_sign1, sign1
from providers_sim.evidence.cove.claims import (
    CWT_TAG,
    Claims,
    PlatformClaims,
    TsmClaims,
    TvmClaims,
    decode_claims,
    encode_claims,
)

__all__ = [
    "SUBMODULES",
    "UCCS_EVIDENCE",
    "UCCS_TAG",
    "CertificateClaims",
    "CoveEvidence",
    "Form",
    "encode_certificate",
    "encode_evidence",
    "encode_uccs",
    "parse_evidence",
    "sign_token",
]

Form = Literal["cbor", "x509", "evidence"]
Token = cbor2.CBORTag

UCCS_TAG = 601
UCCS_EVIDENCE = x509.ObjectIdentifier("2.23.133.5.4.6")

SUBMODULES = 266

_NAMES = ("platform", "tsm", "tvm")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateClaims:
    """The claims of a CBOR certificate; ``evidence`` is the map of the tokens."""

    issuer: Annotated[str, 1]
    subject: Annotated[str, 2]
    evidence: Annotated[dict[int, object], -70011]


@dataclass(frozen=True, slots=True)
class CoveEvidence:
    """Decoded evidence: its form, the claims, and the tokens as COSE_Sign1 messages."""

    form: Form
    platform: PlatformClaims
    tsm: TsmClaims
    tvm: TvmClaims
    tokens: tuple[Sign1, Sign1, Sign1]


def sign_token(
    claims: Claims, key: PrivateKey, algorithm: int, *, kid: bytes | None = None
) -> Token:
    """Return the tagged COSE_Sign1 over ``claims``; errors are those of ``encode_claims``."""
    return sign1(encode_claims(claims), key, algorithm, kid=kid)


def encode_evidence(tokens: tuple[Token, Token, Token]) -> bytes:
    """Encode the bare map of platform, TSM and TVM token."""
    return encode(_token_map(tokens))


def encode_uccs(tokens: tuple[Token, Token, Token]) -> bytes:
    """Encode the content of the X.509 extension: the map of the tokens under tag 601."""
    return encode(cbor2.CBORTag(UCCS_TAG, _token_map(tokens)))


def encode_certificate(
    tokens: tuple[Token, Token, Token],
    issuer: str,
    subject: str,
    key: PrivateKey,
    algorithm: int,
) -> bytes:
    """Encode the CBOR certificate, which the TSM's key signs."""
    claims = CertificateClaims(issuer=issuer, subject=subject, evidence=_token_map(tokens))
    payload = encode(cbor2.CBORTag(CWT_TAG, to_map(claims)))
    return encode(sign1(payload, key, algorithm))


def parse_evidence(blob: bytes) -> CoveEvidence:
    """Decode evidence of any form; signatures are not verified.

    Raises EvidenceError when the evidence violates the specification, or when its CBOR is not in
    its shortest form.
    """
    if blob.startswith(b"\x30"):
        return _parse_x509(blob)
    value = decode(blob)
    if isinstance(value, dict):
        return CoveEvidence("evidence", *_parse_tokens(value))
    message = parse_sign1(value)
    payload = decode(message.payload)
    if not isinstance(payload, cbor2.CBORTag) or payload.tag != CWT_TAG:
        raise EvidenceError(f"the claims of a certificate must be under tag {CWT_TAG}")
    claims = from_map(CertificateClaims, payload.value)
    return CoveEvidence("cbor", *_parse_tokens(claims.evidence))


def _parse_x509(blob: bytes) -> CoveEvidence:
    try:
        certificate = x509.load_der_x509_certificate(blob)
        extension = certificate.extensions.get_extension_for_oid(UCCS_EVIDENCE)
        for name in (certificate.issuer, certificate.subject):
            (_common_name,) = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except Exception as error:  # untrusted bytes: the parser may raise anything
        raise EvidenceError(f"this is not a certificate with CoVE evidence: {error}") from error
    value = decode(extension.value.public_bytes())
    if not isinstance(value, cbor2.CBORTag) or value.tag != UCCS_TAG:
        raise EvidenceError(f"the extension's content must be under tag {UCCS_TAG}")
    require(extension.critical, "the extension must be critical")
    return CoveEvidence("x509", *_parse_tokens(value.value))


def _token_map(tokens: tuple[Token, Token, Token]) -> dict[int, object]:
    return {SUBMODULES: dict(zip(_NAMES, tokens, strict=True))}


def _parse_tokens(
    value: object,
) -> tuple[PlatformClaims, TsmClaims, TvmClaims, tuple[Sign1, Sign1, Sign1]]:
    if not isinstance(value, dict) or set(value) != {SUBMODULES}:
        raise EvidenceError(f"evidence must be a map with the key {SUBMODULES} only")
    tokens = value[SUBMODULES]
    if not isinstance(tokens, dict) or set(tokens) != set(_NAMES):
        raise EvidenceError(f"the tokens must be {', '.join(_NAMES)}")
    platform, tsm, tvm = (parse_sign1(tokens[name]) for name in _NAMES)
    for message in (platform, tsm, tvm):
        require(
            set(message.protected) in ({1}, {1, 4}),
            "a protected header must have an algorithm, and may have a key id",
        )
    return (
        decode_claims(PlatformClaims, platform.payload),
        decode_claims(TsmClaims, tsm.payload),
        decode_claims(TvmClaims, tvm.payload),
        (platform, tsm, tvm),
    )
