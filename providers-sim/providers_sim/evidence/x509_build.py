# SPDX-License-Identifier: MIT
"""Parts of X.509 certificates that the test PKIs have in common."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

__all__ = [
    "certificate_builder",
    "crl_distribution_points",
    "key_usage",
    "public_key_files",
    "public_key_pem",
    "x509_name",
]

_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def x509_name(attributes: dict[x509.ObjectIdentifier, str]) -> x509.Name:
    """Return the name with these attributes, in their order."""
    return x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes.items()])


def key_usage(*usages: str) -> x509.KeyUsage:
    """Return the extension that allows exactly ``usages``, named as ``x509.KeyUsage`` has them."""
    return x509.KeyUsage(**{usage: usage in usages for usage in _USAGES})


def crl_distribution_points(url: str) -> x509.CRLDistributionPoints:
    """Return the extension that names the place of the revocation list."""
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    serial: int,
    key: PublicKey,
    validity: tuple[datetime, datetime],
) -> x509.CertificateBuilder:
    """Return the builder of a certificate without extensions; ``validity`` is first and last."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(serial)
        .public_key(key)
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
    )


def public_key_pem(key: PublicKey) -> bytes:
    """Return a public key as SubjectPublicKeyInfo in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_key_files(name: str, key: PublicKey) -> dict[str, bytes]:
    """Return a public key (SubjectPublicKeyInfo) as the files ``name``.pem and ``name``.der."""
    return {
        f"{name}.pem": public_key_pem(key),
        f"{name}.der": key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    }
