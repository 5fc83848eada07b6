# SPDX-License-Identifier: MIT
"""CoVE evidence: three chained tokens, bare or in a certificate.

Evidence is an untagged claims set {266: {"platform": token, "tsm": token, "tvm": token}}, each
token a COSE_Sign1 under tag 18, embedded as it is. The root of trust signs the platform token,
whose key signs the TSM token, whose key signs the TVM token. A CBOR certificate is a COSE_Sign1 by
the TSM key over {issuer, subject, evidence} under tag 61; an X.509 certificate is issued by the TSM
and has the evidence, under tag 601, as the content of a critical extension (riscv-ap-tee,
sections "Evidence Format" and "Evidence Generation"; TCG DICE Attestation Architecture for the
extension's OID).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cbor2
from cryptography import x509

from providers_sim.errors import EvidenceError
from providers_sim.evidence.claim_maps import claim_map, need
from providers_sim.evidence.cose import PrivateKey, Sign1, decode, parse_sign1, sign1
from providers_sim.evidence.cove import labels
from providers_sim.evidence.cove.claims import (
    CWT_TAG,
    Claims,
    PlatformClaims,
    TsmClaims,
    TvmClaims,
    decode_claims,
    encode_claims,
)
from providers_sim.evidence.der import extension_value

__all__ = [
    "UCCS_EVIDENCE",
    "UCCS_TAG",
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

_NAMES = ("platform", "tsm", "tvm")


@dataclass(frozen=True, slots=True)
class CoveEvidence:
    """Evidence taken apart: its form, the claims, and the tokens as COSE_Sign1 messages.

    ``certificate`` is the CBOR certificate's message, None in the other forms; ``issuer`` and
    ``subject`` are a certificate's, empty in bare evidence.
    """

    form: Form
    platform: PlatformClaims
    tsm: TsmClaims
    tvm: TvmClaims
    tokens: tuple[Sign1, Sign1, Sign1]
    certificate: Sign1 | None = None
    issuer: str = ""
    subject: str = ""


def sign_token(
    claims: Claims, key: PrivateKey, algorithm: int, *, kid: bytes | None = None
) -> Token:
    """Return the tagged COSE_Sign1 over ``claims``; EvidenceError when one of them is wrong."""
    return sign1(encode_claims(claims), key, algorithm, kid=kid)


def encode_evidence(tokens: tuple[Token, Token, Token]) -> bytes:
    """Encode the bare claims set of platform, TSM and TVM token."""
    encoded: bytes = cbor2.dumps(_claims_set(tokens))
    return encoded


def encode_uccs(tokens: tuple[Token, Token, Token]) -> bytes:
    """Encode the content of the X.509 extension: the claims set under tag 601."""
    encoded: bytes = cbor2.dumps(cbor2.CBORTag(UCCS_TAG, _claims_set(tokens)))
    return encoded


def encode_certificate(
    tokens: tuple[Token, Token, Token],
    issuer: str,
    subject: str,
    key: PrivateKey,
    algorithm: int,
) -> bytes:
    """Encode the CBOR certificate that the TSM's key signs."""
    claims = {
        labels.CERTIFICATE["issuer"]: issuer,
        labels.CERTIFICATE["subject"]: subject,
        labels.CERTIFICATE["evidence"]: _claims_set(tokens),
    }
    payload = cbor2.dumps(cbor2.CBORTag(CWT_TAG, claims))
    encoded: bytes = cbor2.dumps(sign1(payload, key, algorithm))
    return encoded


def parse_evidence(blob: bytes) -> CoveEvidence:
    """Decode evidence of any form; signatures are not verified.

    Raises EvidenceError on anything that breaks the specification, and on lengths that are not
    definite and shortest.
    """
    if blob.startswith(b"\x30"):
        return _parse_x509(blob)
    value = decode(blob)
    if isinstance(value, dict):
        return CoveEvidence("evidence", *_parse_set(value))
    message = parse_sign1(value)
    payload = decode(message.payload)
    if not isinstance(payload, cbor2.CBORTag) or payload.tag != CWT_TAG:
        raise EvidenceError("a certificate's claims are under tag 61")
    claims = claim_map(payload.value)
    need(set(claims) == set(labels.CERTIFICATE.values()), "a certificate has three claims")
    issuer, subject, evidence = (claims[label] for label in labels.CERTIFICATE.values())
    need(isinstance(issuer, str) and isinstance(subject, str), "issuer and subject are text")
    return CoveEvidence("cbor", *_parse_set(claim_map(evidence)), message, issuer, subject)


def _parse_x509(blob: bytes) -> CoveEvidence:
    try:
        certificate = x509.load_der_x509_certificate(blob)
        extension = certificate.extensions.get_extension_for_oid(UCCS_EVIDENCE)
        names = [_common_name(name) for name in (certificate.issuer, certificate.subject)]
    except Exception as error:  # a stranger's bytes: whatever the parser makes of them
        raise EvidenceError(f"this is no certificate with CoVE evidence: {error}") from error
    value = decode(extension_value(extension))
    if not isinstance(value, cbor2.CBORTag) or value.tag != UCCS_TAG:
        raise EvidenceError("the extension's claims set is under tag 601")
    need(extension.critical, "the extension is critical")
    parsed = _parse_set(claim_map(value.value))
    return CoveEvidence("x509", *parsed, None, *names)


def _common_name(name: x509.Name) -> str:
    (attribute,) = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(attribute.value)


def _claims_set(tokens: tuple[Token, Token, Token]) -> dict[int, object]:
    return {labels.SUBMODULES: dict(zip(_NAMES, tokens, strict=True))}


def _parse_set(
    value: dict[Any, Any],
) -> tuple[PlatformClaims, TsmClaims, TvmClaims, tuple[Sign1, Sign1, Sign1]]:
    need(set(value) == {labels.SUBMODULES}, "a claims set has the tokens alone")
    tokens = claim_map(value[labels.SUBMODULES])
    need(set(tokens) == set(_NAMES), "there are a platform, a tsm and a tvm token")
    platform, tsm, tvm = (parse_sign1(tokens[name]) for name in _NAMES)
    for message in (platform, tsm, tvm):
        need(set(message.protected) <= {1, 4} and 1 in message.protected, "a protected header")
    return (
        decode_claims(PlatformClaims, platform.payload),
        decode_claims(TsmClaims, tsm.payload),
        decode_claims(TvmClaims, tvm.payload),
        (platform, tsm, tvm),
    )
