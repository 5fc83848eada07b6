# SPDX-License-Identifier: MIT
"""A test PKI in the shape of Intel's: root CA -> PCK Platform CA -> PCK, and TCB signing.

Names, extensions and their order follow Intel's certificates (Intel, SGX PCK Certificate and CRL
Profile Specification). All keys are P-256 and follow from numbers, all signatures are RFC 6979's:
the same number gives the same certificates on any machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers_sim.evidence import der
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

_START = datetime(2024, 1, 1, tzinfo=UTC)
_END = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_SHA256 = hashes.SHA256()
_ROOT_CRL_URL = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
_PCK_CRL_URL = (
    "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
)
_SCALABLE_WITH_INTEGRITY = 2


@dataclass(frozen=True)
class Authority:
    """What is above the PCK: certificates, revocation lists, and the keys that sign."""

    root: x509.Certificate
    platform_ca: x509.Certificate
    tcb_signing: x509.Certificate
    root_crl: x509.CertificateRevocationList
    pck_crl: x509.CertificateRevocationList
    platform_ca_key: ec.EllipticCurvePrivateKey
    tcb_signing_key: ec.EllipticCurvePrivateKey


@cache
def make_authority(number: int) -> Authority:
    """Make the test authority with this number; a few milliseconds."""
    keys = {
        name: derive_ec_key(number, f"tdx {name}", ec.SECP256R1())
        for name in ("root", "platform ca", "tcb signing")
    }
    root_name = _name("Intel SGX Root CA")
    root_key, platform_key, signing_key = keys.values()
    root = _sign(
        _builder(root_name, root_name, root_key, number, "root", root_key, _ROOT_CRL_URL),
        root_key,
        path_length=1,
    )
    platform_name = _name("Intel SGX PCK Platform CA")
    platform_ca = _sign(
        _builder(
            platform_name, root_name, platform_key, number, "platform ca", root_key, _ROOT_CRL_URL
        ),
        root_key,
        path_length=0,
    )
    tcb_signing = _sign(
        _builder(
            _name("Intel SGX TCB Signing"),
            root_name,
            signing_key,
            number,
            "tcb signing",
            root_key,
            _ROOT_CRL_URL,
        ),
        root_key,
    )
    return Authority(
        root,
        platform_ca,
        tcb_signing,
        _crl(root_name, root_key),
        _crl(platform_name, platform_key),
        platform_key,
        signing_key,
    )


def pck_key(number: int, seed: int) -> ec.EllipticCurvePrivateKey:
    """Return the PCK private key of the platform that ``seed`` stands for."""
    return derive_ec_key(seed, f"tdx pck {number}", ec.SECP256R1())


@cache
def pck_certificate(number: int, seed: int) -> x509.Certificate:
    """Certify the platform that ``seed`` stands for."""
    authority = make_authority(number)
    builder = _builder(
        _name("Intel SGX PCK Certificate"),
        authority.platform_ca.subject,
        pck_key(number, seed),
        seed,
        f"pck {number}",
        authority.platform_ca_key,
        _PCK_CRL_URL,
    )
    oid = x509.ObjectIdentifier(SGX_EXTENSION)
    sgx = x509.UnrecognizedExtension(oid, _sgx_extension(seed))
    return _sign(builder, authority.platform_ca_key, sgx=sgx)


def _sgx_extension(seed: int) -> bytes:
    def entry(suffix: str, value: bytes) -> bytes:
        return der.sequence(der.object_identifier(f"{SGX_EXTENSION}.{suffix}"), value)

    components = [
        entry(f"2.{number}", der.integer(svn))
        for number, svn in enumerate(SGX_TCB_COMPONENTS, start=1)
    ]
    tcb = der.sequence(
        *components,
        entry("2.17", der.integer(PCE_SVN)),
        entry("2.18", der.octet_string(CPU_SVN)),
    )
    configuration = der.sequence(*(entry(f"7.{n}", der.boolean(True)) for n in (1, 2, 3)))
    return der.sequence(
        entry("1", der.octet_string(derive(seed, "ppid", 16))),
        entry("2", tcb),
        entry("3", der.octet_string(PCE_ID)),
        entry("4", der.octet_string(FMSPC)),
        entry("5", der.enumerated(_SCALABLE_WITH_INTEGRITY)),
        entry("6", der.octet_string(derive(seed, "platform instance id", 16))),
        entry("7", configuration),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    number: int,
    label: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    crl_url: str,
) -> x509.CertificateBuilder:
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(crl_url)], None, reasons=None, crl_issuer=None
    )
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    serial = int.from_bytes(b"\x01" + derive(number, f"serial of {label}", 19), "big")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(serial)
        .public_key(key.public_key())
        .not_valid_before(_START)
        .not_valid_after(_END)
        .add_extension(issuer_id, critical=False)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    key: ec.EllipticCurvePrivateKey,
    *,
    path_length: int | None = None,
    sgx: x509.UnrecognizedExtension | None = None,
) -> x509.Certificate:
    authority = path_length is not None
    usage = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=not authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(usage, critical=True)
    basic = x509.BasicConstraints(ca=authority, path_length=path_length)
    builder = builder.add_extension(basic, critical=True)
    if sgx is not None:
        builder = builder.add_extension(sgx, critical=False)
    return builder.sign(key, _SHA256, ecdsa_deterministic=True)


def _crl(issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateRevocationList:
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer)
        .last_update(_START)
        .next_update(_END)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(issuer_id, critical=False)
        .sign(key, _SHA256, ecdsa_deterministic=True)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Intel Corporation"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
        ]
    )
