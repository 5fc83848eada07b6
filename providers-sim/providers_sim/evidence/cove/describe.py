# SPDX-License-Identifier: MIT
"""Descriptions of CoVE evidence, bare or in a CBOR or X.509 certificate."""

from __future__ import annotations

import cbor2
from cryptography import x509

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence.cbor_text import (
    ClaimText,
    add_sign1,
    add_value,
    claim_texts,
)
from providers_sim.evidence.claim_maps import claims_of
from providers_sim.evidence.cose import loads, parse_sign1
from providers_sim.evidence.cove.claims import STATES, PlatformClaims, TsmClaims, TvmClaims
from providers_sim.evidence.cove.evidence import (
    SUBMODULES,
    UCCS_EVIDENCE,
    CertificateClaims,
    parse_evidence,
)
from providers_sim.evidence.x509_text import add_certificate

__all__ = ["describe"]

_BARE = bytes.fromhex("a119010a")  # a map whose only key is 266
_SIGN1 = b"\xd2"
_LABELS = {claim.name: claim.label for claim in claims_of(CertificateClaims)}


def describe(blob: bytes) -> Node | None:
    """Describe CoVE evidence in any of its forms; None for anything else."""
    if blob.startswith(_BARE):
        node = Node("CoVE evidence", f"{len(blob)} bytes")
        node.add_violation(parse_evidence, blob)
        _add_evidence(node, _load(node, blob))
        return node
    if blob.startswith(_SIGN1):
        return _describe_certificate(blob)
    return _describe_x509(blob) if blob.startswith(b"\x30\x82") else None


def _load(node: Node, data: bytes) -> object:
    try:
        value: object = loads(data)
    except EvidenceError as error:
        node.add("damaged", error)
        return None
    return value


def _describe_certificate(blob: bytes) -> Node | None:
    try:
        message = parse_sign1(loads(blob))
        payload = loads(message.payload)
    except EvidenceError:
        return None
    claims = payload.value if isinstance(payload, cbor2.CBORTag) else None
    if not isinstance(claims, dict) or not claims.keys() & _LABELS.values():
        return None
    node = Node("CoVE CBOR certificate", f"{len(blob)} bytes")
    node.add_violation(parse_evidence, blob)
    node.add("algorithm", message.algorithm)
    for name in ("issuer", "subject"):
        add_value(node, name, claims.get(_LABELS[name], "missing"))
    _add_evidence(node.add("evidence"), claims.get(_LABELS["evidence"]))
    node.add("signature", message.signature)
    return node


def _describe_x509(blob: bytes) -> Node | None:
    try:
        certificate = x509.load_der_x509_certificate(blob)
        extension = certificate.extensions.get_extension_for_oid(UCCS_EVIDENCE)
    except Exception:  # untrusted bytes, or a certificate of another kind
        return None
    node = Node("CoVE X.509 certificate", f"{len(blob)} bytes")
    node.add_violation(parse_evidence, blob)
    try:
        add_certificate(node, certificate)
    except Exception as error:  # untrusted bytes: the parser may raise anything
        node.add("damaged", error)
    child = node.add("evidence")
    value = _load(child, extension.value.public_bytes())
    _add_evidence(child, value.value if isinstance(value, cbor2.CBORTag) else value)
    return node


def _add_evidence(node: Node, value: object) -> None:
    tokens = value.get(SUBMODULES) if isinstance(value, dict) else None
    if not isinstance(tokens, dict):
        add_value(node, ClaimText("value", _TEXTS), value)
        return
    for name, token in tokens.items():
        add_sign1(node, f"{name} token", token, _TEXTS)


def _state(value: int) -> str:
    names = {number: name for name, number in STATES.items()}
    return f"{value} ({names[value]})" if value in names else str(value)


_TEXTS = {
    SUBMODULES: ClaimText("tokens"),
    **claim_texts(PlatformClaims, TsmClaims, TvmClaims, state=_state),
}
