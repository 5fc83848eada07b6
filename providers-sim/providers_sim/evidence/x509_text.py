# SPDX-License-Identifier: MIT
"""Descriptions of X.509 certificates and revocation lists."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from providers_sim.description import Node

__all__ = ["add_certificate", "add_crl", "describe"]

_SEQUENCE = b"\x30\x82"


def describe(blob: bytes) -> Node | None:
    """Describe certificates or a revocation list, in PEM or DER; None for anything else."""
    text = blob.lstrip()
    try:
        if text.startswith(b"-----BEGIN CERTIFICATE-----"):
            node = Node("X.509 certificates")
            for number, certificate in enumerate(x509.load_pem_x509_certificates(text), 1):
                add_certificate(node.add(f"certificate {number}"), certificate)
            return node
        if text.startswith(b"-----BEGIN X509 CRL-----"):
            return add_crl(Node("X.509 revocation list"), x509.load_pem_x509_crl(text))
        if blob.startswith(_SEQUENCE):
            return _describe_der(blob)
    except Exception:  # untrusted bytes: the parser may raise anything
        return None
    return None


def _describe_der(blob: bytes) -> Node:
    try:
        certificate = x509.load_der_x509_certificate(blob)
    except ValueError:
        return add_crl(Node("X.509 revocation list"), x509.load_der_x509_crl(blob))
    return add_certificate(Node("X.509 certificate"), certificate)


def add_certificate(node: Node, certificate: x509.Certificate) -> Node:
    """Add the fields of a certificate to ``node``; ValueError when one is malformed."""
    node.add("subject", certificate.subject.rfc4514_string())
    node.add("issuer", certificate.issuer.rfc4514_string())
    node.add("serial number", certificate.serial_number)
    node.add(
        "valid",
        f"{certificate.not_valid_before_utc:%Y-%m-%d} to "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}",
    )
    node.add("public key", _public_key_text(certificate))
    extensions = node.add("extensions")
    for extension in certificate.extensions:
        name = getattr(extension.oid, "_name", "")
        label = extension.oid.dotted_string if name in ("", "Unknown OID") else name
        critical = " (critical)" if extension.critical else ""
        extensions.add(label + critical, extension.value.public_bytes())
    return node


def add_crl(node: Node, crl: x509.CertificateRevocationList) -> Node:
    """Add the fields of a revocation list to ``node``."""
    node.add("issuer", crl.issuer.rfc4514_string())
    until = crl.next_update_utc
    node.add("issued", f"{crl.last_update_utc:%Y-%m-%d}")
    node.add("next update", f"{until:%Y-%m-%d}" if until else "never")
    revoked = node.add("revoked", len(crl))
    for entry in crl:
        revoked.add("serial number", entry.serial_number)
    return node


def _public_key_text(certificate: x509.Certificate) -> str:
    """Return the algorithm of the certificate's key, and its size or curve."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"unknown ({error})"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC, {key.curve.name}"
    return "Ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else type(key).__name__
