# SPDX-License-Identifier: MIT
"""Descriptions of TDX quotes, TDREPORTs and collateral."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence import der
from providers_sim.evidence.tdx.pki import SGX_EXTENSION
from providers_sim.evidence.tdx.quote import (
    QE_VENDOR,
    QeReport,
    Quote,
    QuoteBody,
    encode_qe_report,
    parse_quote,
    signed_part,
)
from providers_sim.evidence.tdx.td_report import (
    TD_REPORT_SIZE,
    TEE_TYPE_TDX,
    MacStruct,
    TcbInfo,
    TdInfo,
    parse_td_report,
    split_td_report,
)
from providers_sim.evidence.x509_text import add_certificate

__all__ = ["describe"]

_ATTRIBUTES = {
    0: "DEBUG",
    28: "SEPT_VE_DISABLE",
    29: "MIGRATABLE",
    30: "PKS",
    31: "KL",
    63: "PERFMON",
}
_SGX_NAMES = {
    "1": "PPID",
    "2": "TCB",
    "3": "PCE id",
    "4": "FMSPC",
    "5": "SGX type",
    "6": "platform instance id",
    "7": "configuration",
    "2.17": "PCE SVN",
    "2.18": "CPU SVN",
    "7.1": "dynamic platform",
    "7.2": "cached keys",
    "7.3": "SMT enabled",
}
_COLLATERAL = {"tcb_info", "qe_identity", "pck_crl", "tcbInfo", "enclaveIdentity"}


def describe(blob: bytes) -> Node | None:
    """Describe a quote of version 4 or 5, a TDREPORT or collateral; None for anything else."""
    if len(blob) >= 48 and blob[12:28] == QE_VENDOR and blob[4] == TEE_TYPE_TDX:
        return _describe_quote(blob)
    if len(blob) == TD_REPORT_SIZE and blob[0] == TEE_TYPE_TDX and blob[1] == 0:
        return _describe_td_report(blob)
    return _describe_collateral(blob) if blob[:1] == b"{" else None


def _describe_quote(blob: bytes) -> Node:
    version = int.from_bytes(blob[:2], "little")
    node = Node("TDX quote", f"version {version}, {len(blob)} bytes")
    try:
        quote = parse_quote(blob)
    except EvidenceError as error:
        node.add("violates the specification", error)
        return node
    node.add("QE id", quote.user_data[:16])
    node.add("TDX version of the body", quote.body.tdx_version)
    _add_members(node.add("TD report"), quote.body)
    node.add("signature", quote.signature)
    node.add("attestation key", quote.attestation_key)
    _add_members(node.add("QE report"), quote.qe_report)
    node.add("QE report signature", quote.qe_signature)
    node.add("QE authentication data", quote.qe_auth)
    certificates = _add_chain(node.add("PCK certificate chain"), quote.pck_chain)
    _verify(node.add("signatures"), quote, certificates)
    if quote.padding:
        node.add("padding", f"{quote.padding} zero bytes")
    return node


def _add_members(node: Node, block: QuoteBody | QeReport | MacStruct | TcbInfo | TdInfo) -> None:
    for member in fields(block):
        value = getattr(block, member.name)
        child = node.add(member.name.upper().replace("_", " "), value)
        if member.name == "td_attributes" or (
            member.name == "attributes" and isinstance(block, TdInfo)
        ):
            number = int.from_bytes(value, "little")
            for bit, name in _ATTRIBUTES.items():
                if number >> bit & 1:
                    child.add(f"bit {bit}", name)


def _add_chain(node: Node, chain: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(chain.rstrip(b"\0"))
        for number, certificate in enumerate(certificates, 1):
            child = add_certificate(node.add(f"certificate {number}"), certificate)
            for extension in certificate.extensions:
                if extension.oid.dotted_string == SGX_EXTENSION:
                    _add_sgx(child.add("SGX extension"), extension.value.public_bytes())
    except Exception as error:  # untrusted bytes: the parser may raise anything
        node.add("damaged", error)
        return []
    return certificates


def _add_sgx(node: Node, value: bytes) -> None:
    for tag, content in der.items(value):
        members = list(der.items(content)) if tag == der.Tag.SEQUENCE else []
        if len(members) == 2 and members[0][0] == der.Tag.OBJECT_IDENTIFIER:
            suffix = der.decode_oid(members[0][1]).removeprefix(f"{SGX_EXTENSION}.")
            label = _SGX_NAMES.get(suffix, f"TCB component {suffix.removeprefix('2.')}")
            if members[1][0] == der.Tag.SEQUENCE:
                _add_sgx(node.add(label), members[1][1])
            else:
                node.add(label, members[1][1])
        else:
            _add_sgx(node, content)


def _verify(node: Node, quote: Quote, certificates: list[x509.Certificate]) -> None:
    """Verify the signatures in the quote; whether the root is Intel's is not checked."""
    x, y = (int.from_bytes(quote.attestation_key[at : at + 32], "big") for at in (0, 32))
    signed = signed_part(quote.version, quote.user_data, quote.body)
    try:
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        node.add("by the attestation key", _signature_text(key, quote.signature, signed))
    except ValueError as error:
        node.add("attestation key", f"is not a public key: {error}")
    try:
        pck = certificates[0].public_key() if certificates else None
    except (ValueError, UnsupportedAlgorithm) as error:
        node.add("PCK", f"has an invalid key: {error}")
        return
    if isinstance(pck, ec.EllipticCurvePublicKey):
        report = encode_qe_report(quote.qe_report)
        node.add("by the PCK", _signature_text(pck, quote.qe_signature, report))


def _signature_text(key: ec.EllipticCurvePublicKey, signature: bytes, data: bytes) -> str:
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except Exception:  # InvalidSignature, or a key on an unsupported curve
        return "wrong"
    return "good"


def _describe_td_report(blob: bytes) -> Node:
    node = Node("TDREPORT", f"{len(blob)} bytes")
    node.add_violation(lambda report: parse_td_report(report, mac_key=None), blob)
    for block in split_td_report(blob, lenient=True):
        _add_members(node.add(type(block).__name__), block)
    return node


def _describe_collateral(blob: bytes) -> Node | None:
    try:
        value = json.loads(blob)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value.keys() & _COLLATERAL:
        return None
    node = Node("TDX collateral")
    for name, member in value.items():
        if name in ("tcb_info", "qe_identity") and isinstance(member, str):
            try:
                _add_json(node.add(name), json.loads(member))
            except (ValueError, RecursionError) as error:
                node.add(name, f"is not JSON: {error}")
        elif name.endswith("_chain") and isinstance(member, str):
            _add_chain(node.add(name), member.encode())
        else:
            _add_json(node.add(name), member)
    return node


def _add_json(node: Node, value: Any) -> None:  # noqa: ANN401 - JSON can be anything
    stack = [(node, value)]
    while stack:
        parent, item = stack.pop()
        if isinstance(item, dict):
            stack += [(parent.add(str(key)), member) for key, member in item.items()]
        elif isinstance(item, list):
            numbers = [member.get("svn") if isinstance(member, dict) else member for member in item]
            if all(isinstance(number, int) for number in numbers):
                parent.value = " ".join(map(str, numbers))
            else:
                stack += [(parent.add(str(n)), member) for n, member in enumerate(item, 1)]
        else:
            parent.value = str(item)
