# SPDX-License-Identifier: MIT
"""CoVE evidence for people, in each of its forms."""

from __future__ import annotations

import cbor2
from cryptography import x509

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence.cbor_text import Names, add_sign1, add_value, loads
from providers_sim.evidence.cose import parse_sign1
from providers_sim.evidence.cove import labels
from providers_sim.evidence.cove.claims import CWT_TAG, STATES
from providers_sim.evidence.cove.evidence import UCCS_EVIDENCE, parse_evidence
from providers_sim.evidence.der import extension_value
from providers_sim.evidence.x509_text import add_certificate

__all__ = ["describe"]

_BARE = bytes.fromhex("a119010a")  # a map whose one key is 266
_SIGN1 = b"\xd2"
_CERTIFICATE_KEYS = set(labels.CERTIFICATE.values())
_NESTED = {
    "sw components": {label: name for name, label in labels.COMPONENT.items()},
    "initial measurements": {label: name for name, label in labels.MEASUREMENT.items()},
    "runtime measurements": {label: name for name, label in labels.MEASUREMENT.items()},
}


def describe(blob: bytes) -> Node | None:
    """Describe CoVE evidence: bare, in a CBOR or X.509 certificate; None for anything else."""
    if blob.startswith(_BARE):
        node = _begin("CoVE evidence", blob)
        _evidence(node, _load(node, blob))
        return node
    if blob.startswith(_SIGN1):
        return _certificate(blob)
    return _x509(blob) if blob.startswith(b"\x30\x82") else None


def _begin(label: str, blob: bytes) -> Node:
    node = Node(label, f"{len(blob)} bytes")
    try:
        parse_evidence(blob)
    except EvidenceError as error:
        node.add("violates the specification", error)
    return node


def _load(node: Node, data: bytes) -> object:
    try:
        value: object = loads(data)
    except EvidenceError as error:
        node.add("damaged", error)
        return None
    return value


def _certificate(blob: bytes) -> Node | None:
    try:
        message = parse_sign1(loads(blob))
        payload = loads(message.payload)
    except EvidenceError:
        return None
    claims = payload.value if isinstance(payload, cbor2.CBORTag) else None
    if not isinstance(claims, dict) or not _CERTIFICATE_KEYS & set(claims):
        return None
    node = _begin("CoVE CBOR certificate", blob)
    node.add("algorithm", message.algorithm)
    for name in ("issuer", "subject"):
        add_value(node, name, claims.get(labels.CERTIFICATE[name], "missing"), {})
    _evidence(node.add("evidence"), claims.get(labels.CERTIFICATE["evidence"]))
    node.add("signature", message.signature)
    return node


def _x509(blob: bytes) -> Node | None:
    try:
        certificate = x509.load_der_x509_certificate(blob)
        extension = certificate.extensions.get_extension_for_oid(UCCS_EVIDENCE)
    except Exception:  # a stranger's bytes, or a certificate of another kind
        return None
    node = _begin("CoVE X.509 certificate", blob)
    add_certificate(node, certificate)
    part = node.add("evidence")
    value = _load(part, extension_value(extension))
    _evidence(part, value.value if isinstance(value, cbor2.CBORTag) else value)
    return node


def _evidence(node: Node, value: object) -> None:
    tokens = value.get(labels.SUBMODULES) if isinstance(value, dict) else None
    if not isinstance(tokens, dict):
        add_value(node, "value", value, labels.NAMES)
        return
    for name, token in tokens.items():
        part = add_sign1(node, f"{name} token", token, labels.NAMES)
        for tag in [one for one in part.children if one.label == "claims"]:
            tag.value = tag.value.replace(f"tag {CWT_TAG} CWT", "CWT")
            for claims in tag.children:
                _name_members(claims)


def _name_members(claims: Node) -> None:
    """Give the members of components and measurements their names, the state its meaning."""
    states = {str(number): name for name, number in STATES.items()}
    for claim in claims.children:
        names: Names = _NESTED.get(claim.label, {})
        for entry in claim.children:
            for member in entry.children:
                if member.label.isdecimal():
                    member.label = names.get(int(member.label), member.label).replace("_", " ")
        if claim.label == "state" and claim.value in states:
            claim.value = f"{claim.value} ({states[claim.value]})"
