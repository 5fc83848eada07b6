# SPDX-License-Identifier: MIT
"""A test PKI with the structure of Intel's: root CA -> PCK Platform CA -> PCK, and TCB signing.

Names, extensions and their order follow Intel's certificates (Intel, SGX PCK Certificate and CRL
Profile Specification). All keys are P-256 and derived from numbers, all signatures are
deterministic (RFC 6979): the same number gives the same certificates on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers_sim.evidence import der
from providers_sim.evidence.x509_build import (
    certificate_builder,
    crl_distribution_points,
    key_usage,
    x509_name,
)
from providers_sim.keys import derive, derive_ec_key

__all__ = [
    "CPU_SVN",
    "FMSPC",
    "PCE_ID",
    "PCE_SVN",
    "SGX_EXTENSION",
    "SGX_TCB_COMPONENTS",
    "Authority",
    "make_authority",
    "pck_certificate",
    "pck_key",
]

SGX_EXTENSION = "1.2.840.113741.1.13.1"
FMSPC = bytes.fromhex("00806f050000")
PCE_ID = bytes(2)
SGX_TCB_COMPONENTS = (7, 7, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0)
PCE_SVN = 11
CPU_SVN = bytes(SGX_TCB_COMPONENTS)

_VALIDITY = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC))
_SHA256 = hashes.SHA256()
_ROOT_CRL_URL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
_PCK_CRL_URL = (
    "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
)
_SCALABLE_WITH_INTEGRITY = 2


@dataclass(frozen=True, slots=True)
class _Holder:
    """The subject of a certificate, with its key."""

    name: x509.Name
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Authority:
    """The authorities above the PCK: certificates, revocation lists, and the keys that sign."""

    root: x509.Certificate
    platform_ca: x509.Certificate
    tcb_signing: x509.Certificate
    root_crl: x509.CertificateRevocationList
    pck_crl: x509.CertificateRevocationList
    platform_ca_key: ec.EllipticCurvePrivateKey
    tcb_signing_key: ec.EllipticCurvePrivateKey


@cache
def make_authority(number: int) -> Authority:
    """Make the test authority with this number, which takes a few milliseconds."""

    def holder(common_name: str, label: str) -> _Holder:
        return _Holder(_name(common_name), derive_ec_key(number, f"tdx {label}", ec.SECP256R1()))

    def certify(subject: _Holder, label: str, path_length: int | None) -> x509.Certificate:
        serial = _serial(number, label)
        return _certify(subject, root, serial, _ROOT_CRL_URL, path_length=path_length)

    root = holder("Intel SGX Root CA", "root")
    platform_ca = holder("Intel SGX PCK Platform CA", "platform ca")
    tcb_signing = holder("Intel SGX TCB Signing", "tcb signing")
    return Authority(
        root=certify(root, "root", 1),
        platform_ca=certify(platform_ca, "platform ca", 0),
        tcb_signing=certify(tcb_signing, "tcb signing", None),
        root_crl=_crl(root),
        pck_crl=_crl(platform_ca),
        platform_ca_key=platform_ca.key,
        tcb_signing_key=tcb_signing.key,
    )


def pck_key(number: int, seed: int) -> ec.EllipticCurvePrivateKey:
    """Derive the PCK private key of the platform with this ``seed``."""
    return derive_ec_key(seed, f"tdx pck {number}", ec.SECP256R1())


@cache
def pck_certificate(number: int, seed: int) -> x509.Certificate:
    """Certify the platform with this ``seed`` under the authority with this ``number``."""
    authority = make_authority(number)
    return _certify(
        _Holder(_name("Intel SGX PCK Certificate"), pck_key(number, seed)),
        _Holder(authority.platform_ca.subject, authority.platform_ca_key),
        _serial(seed, f"pck {number}"),
        _PCK_CRL_URL,
        sgx=_sgx_extension(seed),
    )


def _sgx_extension(seed: int) -> x509.UnrecognizedExtension:
    def entry(suffix: str, value: bytes) -> bytes:
        return der.sequence(der.oid(f"{SGX_EXTENSION}.{suffix}"), value)

    def octets(value: bytes) -> bytes:
        return der.encode(der.Tag.OCTET_STRING, value)

    components = [
        entry(f"2.{number}", der.integer(svn))
        for number, svn in enumerate(SGX_TCB_COMPONENTS, start=1)
    ]
    tcb = der.sequence(
        *components,
        entry("2.17", der.integer(PCE_SVN)),
        entry("2.18", octets(CPU_SVN)),
    )
    true = der.encode(der.Tag.BOOLEAN, b"\xff")
    sgx_type = der.encode(der.Tag.ENUMERATED, bytes((_SCALABLE_WITH_INTEGRITY,)))
    value = der.sequence(
        entry("1", octets(derive(seed, "ppid", 16))),
        entry("2", tcb),
        entry("3", octets(PCE_ID)),
        entry("4", octets(FMSPC)),
        entry("5", sgx_type),
        entry("6", octets(derive(seed, "platform instance id", 16))),
        entry("7", der.sequence(*(entry(f"7.{n}", true) for n in (1, 2, 3)))),
    )
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION), value)


def _serial(number: int, label: str) -> int:
    return int.from_bytes(b"\x01" + derive(number, f"serial of {label}", 19), "big")


def _certify(
    subject: _Holder,
    issuer: _Holder,
    serial: int,
    crl_url: str,
    *,
    path_length: int | None = None,
    sgx: x509.UnrecognizedExtension | None = None,
) -> x509.Certificate:
    """Certify ``subject``: as an authority if ``path_length`` is given, otherwise as a leaf."""
    authority = path_length is not None
    key = subject.key.public_key()
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    usages = (
        ("key_cert_sign", "crl_sign") if authority else ("digital_signature", "content_commitment")
    )
    basic = x509.BasicConstraints(ca=authority, path_length=path_length)
    builder = (
        certificate_builder(subject.name, issuer.name, serial, key, _VALIDITY)
        .add_extension(issuer_id, critical=False)
        .add_extension(crl_distribution_points(crl_url), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(key_usage(*usages), critical=True)
        .add_extension(basic, critical=True)
    )
    if sgx is not None:
        builder = builder.add_extension(sgx, critical=False)
    return builder.sign(issuer.key, _SHA256, ecdsa_deterministic=True)


def _crl(issuer: _Holder) -> x509.CertificateRevocationList:
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.name)
        .last_update(_VALIDITY[0])
        .next_update(_VALIDITY[1])
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(issuer.key, _SHA256, ecdsa_deterministic=True)
    )


def _name(common_name: str) -> x509.Name:
    return x509_name(
        {
            NameOID.COMMON_NAME: common_name,
            NameOID.ORGANIZATION_NAME: "Intel Corporation",
            NameOID.LOCALITY_NAME: "Santa Clara",
            NameOID.STATE_OR_PROVINCE_NAME: "CA",
            NameOID.COUNTRY_NAME: "US",
        }
    )
