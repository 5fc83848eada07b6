# SPDX-License-Identifier: MIT
"""A test PKI in the shape of AMD's: ARK (self-signed) -> ASK -> VCEK, and the ARK's CRL.

Names, key types, extensions and validity follow the certificates AMD's key distribution
service gives out for Milan (AMD, VCEK Certificate and KDS Interface Specification, document
57230). Serial numbers start at 1, where AMD's VCEKs have 0, which X.509 forbids.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from providers_sim.evidence.sev_snp_report import Tcb

__all__ = ["PRODUCT", "Authority", "make_authority", "make_vcek"]

PRODUCT = "Milan"

_CRL_URL = f"https://kdsintf.amd.com/vcek/v1/{PRODUCT}/crl"
_STEPPING = f"{PRODUCT}-B1"
_OID = "1.3.6.1.4.1.3704.1"
_SHA384 = hashes.SHA384()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA384), salt_length=48)
_AUTHORITY_VALIDITY = timedelta(days=25 * 365)
_VCEK_VALIDITY = timedelta(days=7 * 365)
_DER = serialization.Encoding.DER
_DER_INTEGER, _DER_IA5_STRING = 0x02, 0x16


@dataclass(frozen=True, slots=True)
class Authority:
    """The ASK's private key (PKCS #8, DER), and the certificates and CRL above the VCEK (DER)."""

    ask_key: bytes
    ark: bytes
    ask: bytes
    crl: bytes


def make_authority() -> Authority:
    """Make a fresh ARK and ASK (RSA-4096: a second or so) and an empty CRL."""
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    ark_key = rsa.generate_private_key(65537, 4096)
    ask_key = rsa.generate_private_key(65537, 4096)
    ark_name, ask_name = _name(f"ARK-{PRODUCT}"), _name(f"SEV-{PRODUCT}")
    ark_id = x509.SubjectKeyIdentifier.from_public_key(ark_key.public_key())
    ark = (
        _authority_builder(ark_name, ark_name, 1, ark_key.public_key(), start)
        .add_extension(_key_usage(crl_sign=True), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(ark_key, _SHA384, rsa_padding=_PSS)
    )
    ask = (
        _authority_builder(ask_name, ark_name, 2, ask_key.public_key(), start)
        .add_extension(_key_usage(crl_sign=False), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ark_id), critical=False
        )
        .sign(ark_key, _SHA384, rsa_padding=_PSS)
    )
    crl = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ark_name)
        .last_update(start)
        .next_update(start + _AUTHORITY_VALIDITY)
        .add_extension(x509.CRLNumber(1), critical=False)
        .sign(ark_key, _SHA384, rsa_padding=_PSS)
    )
    return Authority(
        ask_key.private_bytes(
            _DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        *(made.public_bytes(_DER) for made in (ark, ask, crl)),
    )


def make_vcek(
    authority: Authority, key: ec.EllipticCurvePublicKey, chip_id: bytes, tcb: Tcb
) -> bytes:
    """Certify ``key`` as the VCEK of this chip (64 bytes) at this TCB; DER."""
    ask = x509.load_der_x509_certificate(authority.ask)
    # Our own key: proving that its primes are prime takes a quarter of a second.
    ask_key = serialization.load_der_private_key(
        authority.ask_key, password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(ask_key, rsa.RSAPrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name("SEV-VCEK"))
        .issuer_name(ask.subject)
        .serial_number(1)
        .public_key(key)
        .not_valid_before(ask.not_valid_before_utc)
        .not_valid_after(ask.not_valid_before_utc + _VCEK_VALIDITY)
    )
    for suffix, value in _vcek_extensions(chip_id, tcb):
        oid = x509.ObjectIdentifier(f"{_OID}.{suffix}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(ask_key, _SHA384, rsa_padding=_PSS).public_bytes(_DER)


def _vcek_extensions(chip_id: bytes, tcb: Tcb) -> list[tuple[str, bytes]]:
    """Suffixes and DER values in AMD's order; the hardware id is raw, as AMD writes it."""
    spl = {1: tcb.boot_loader, 2: tcb.tee, 4: 0, 5: 0, 6: 0, 7: 0, 3: tcb.snp, 8: tcb.microcode}
    return [
        ("1", _der_integer(0)),
        ("2", bytes((_DER_IA5_STRING, len(_STEPPING))) + _STEPPING.encode()),
        *((f"3.{index}", _der_integer(level)) for index, level in spl.items()),
        ("4", chip_id),
    ]


def _der_integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return bytes((_DER_INTEGER, len(content))) + content


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "Engineering"),
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "Santa Clara"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Advanced Micro Devices"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _authority_builder(
    subject: x509.Name, issuer: x509.Name, serial: int, key: rsa.RSAPublicKey, start: datetime
) -> x509.CertificateBuilder:
    point = x509.DistributionPoint(
        [x509.UniformResourceIdentifier(_CRL_URL)],
        relative_name=None,
        reasons=None,
        crl_issuer=None,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(serial)
        .public_key(key)
        .not_valid_before(start)
        .not_valid_after(start + _AUTHORITY_VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.CRLDistributionPoints([point]), critical=False)
    )


def _key_usage(*, crl_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
