# SPDX-License-Identifier: MIT
"""A test PKI in the shape of AMD's: ARK (self-signed) -> ASK -> VCEK, or -> ASVK -> VLEK, and CRLs.

Names, key types, extensions and validity follow the certificates AMD's key distribution
service gives out (AMD, VCEK Certificate and KDS Interface Specification, document 57230; VLEK
Certificate Definition, document 58369). Serial numbers start at 1, where AMD's VCEKs have 0,
which X.509 forbids.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from providers_sim.evidence import der
from providers_sim.evidence.sev_snp.report import Tcb
from providers_sim.pki_store import PkiStore

__all__ = ["OID_PREFIX", "PRODUCTS", "KeyKind", "Pki", "Product"]

KeyKind = Literal["vcek", "vlek"]

OID_PREFIX = "1.3.6.1.4.1.3704.1"
"""Of the extensions that bind a VCEK or VLEK to a product, TCB, and chip or provider."""

_CSP_ID = "tsm-harness"
_SHA384 = hashes.SHA384()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA384), salt_length=48)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_AUTHORITY_VALIDITY = timedelta(days=25 * 365)
_LEAF_VALIDITY = timedelta(days=7 * 365)
_DER = serialization.Encoding.DER
_INTERMEDIATE_NAMES = {"vcek": "SEV-{}", "vlek": "SEV-VLEK-{}"}


@dataclass(frozen=True, slots=True)
class Product:
    """A processor line: its name in certificates, its stepping, its CPUID as reports have it."""

    name: str
    stepping: str
    cpuid: bytes


PRODUCTS = {
    "milan": Product("Milan", "Milan-B1", bytes((0x19, 0x01, 0x01))),
    "genoa": Product("Genoa", "Genoa-B1", bytes((0x19, 0x11, 0x01))),
}


class Pki:
    """The test PKI number ``root`` of ``product``: everything is made once and kept in ``store``.

    Certificates and CRLs are DER. An authority costs a second or so to make (RSA-4096).
    """

    def __init__(self, store: PkiStore, product: Product, root: int) -> None:
        self._store = store
        self._product = product
        self._group = f"sev-snp-{product.name.lower()}-{root}"
        self.ark, self._ark_key = store.get(f"{self._group}-ark", self._make_ark, "ark", "key")

    def intermediate(self, kind: KeyKind) -> bytes:
        """Return the certificate above VCEKs (ASK) or VLEKs (ASVK)."""
        return self._intermediate(kind)[0]

    def crl(self, kind: KeyKind) -> bytes:
        """Return the ARK's revocation list on the path of ``kind``; it revokes nothing."""
        return self._intermediate(kind)[2]

    def leaf(
        self, kind: KeyKind, key: ec.EllipticCurvePublicKey, chip_id: bytes, tcb: Tcb
    ) -> bytes:
        """Certify ``key`` at ``tcb``: as the VCEK of this chip (64 bytes), or as a VLEK."""
        issuer = x509.load_der_x509_certificate(self.intermediate(kind))
        named = chip_id + key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        mark = hashlib.sha256(named + tcb.encode() + issuer.fingerprint(_SHA384)).hexdigest()[:32]

        def make() -> dict[str, bytes]:
            made = self._make_leaf(kind, issuer, key, chip_id, tcb)
            return {"certificate": made.public_bytes(_DER)}

        return self._store.get(f"{self._group}-{kind}-{mark}", make, "certificate")[0]

    def _intermediate(self, kind: KeyKind) -> list[bytes]:
        group = f"{self._group}-{'ask' if kind == 'vcek' else 'asvk'}"
        return self._store.get(group, lambda: self._make_intermediate(kind), "cert", "key", "crl")

    def _make_ark(self) -> dict[str, bytes]:
        key = rsa.generate_private_key(65537, 4096)
        name = _name(f"ARK-{self._product.name}")
        certificate = (
            self._authority(name, name, 1, key.public_key(), "vcek")
            .add_extension(_key_usage(crl_sign=True), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, _SHA384, rsa_padding=_PSS)
        )
        return {"ark": certificate.public_bytes(_DER), "key": _key_bytes(key)}

    def _make_intermediate(self, kind: KeyKind) -> dict[str, bytes]:
        ark_key = _load_key(self._ark_key)
        ark = x509.load_der_x509_certificate(self.ark)
        key = rsa.generate_private_key(65537, 4096)
        name = _name(_INTERMEDIATE_NAMES[kind].format(self._product.name))
        ark_id = x509.SubjectKeyIdentifier.from_public_key(ark_key.public_key())
        certificate = (
            self._authority(name, ark.subject, 2 + (kind == "vlek"), key.public_key(), kind)
            .add_extension(_key_usage(crl_sign=False), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ark_id),
                critical=False,
            )
            .sign(ark_key, _SHA384, rsa_padding=_PSS)
        )
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ark.subject)
            .last_update(_START)
            .next_update(_START + _AUTHORITY_VALIDITY)
            .add_extension(x509.CRLNumber(1), critical=False)
            .sign(ark_key, _SHA384, rsa_padding=_PSS)
        )
        return {
            "cert": certificate.public_bytes(_DER),
            "key": _key_bytes(key),
            "crl": crl.public_bytes(_DER),
        }

    def _make_leaf(
        self,
        kind: KeyKind,
        issuer: x509.Certificate,
        key: ec.EllipticCurvePublicKey,
        chip_id: bytes,
        tcb: Tcb,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(f"SEV-{kind.upper()}"))
            .issuer_name(issuer.subject)
            .serial_number(1)
            .public_key(key)
            .not_valid_before(_START)
            .not_valid_after(_START + _LEAF_VALIDITY)
        )
        for suffix, value in self._leaf_extensions(kind, chip_id, tcb):
            oid = x509.ObjectIdentifier(f"{OID_PREFIX}.{suffix}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
        return builder.sign(_load_key(self._intermediate(kind)[1]), _SHA384, rsa_padding=_PSS)

    def _leaf_extensions(self, kind: KeyKind, chip_id: bytes, tcb: Tcb) -> list[tuple[str, bytes]]:
        """Suffixes and DER values in AMD's order; the hardware id is raw, as AMD writes it."""
        spl = {1: tcb.boot_loader, 2: tcb.tee, 4: 0, 5: 0, 6: 0, 7: 0, 3: tcb.snp, 8: tcb.microcode}
        product = self._product.stepping if kind == "vcek" else self._product.name
        return [
            ("1", der.integer(0)),
            ("2", der.ia5_string(product)),
            *((f"3.{index}", der.integer(level)) for index, level in spl.items()),
            ("4", chip_id) if kind == "vcek" else ("5", der.ia5_string(_CSP_ID)),
        ]

    def _authority(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        serial: int,
        key: rsa.RSAPublicKey,
        kind: KeyKind,
    ) -> x509.CertificateBuilder:
        url = f"https://kdsintf.amd.com/{kind}/v1/{self._product.name}/crl"
        point = x509.DistributionPoint(
            [x509.UniformResourceIdentifier(url)],
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
            .not_valid_before(_START)
            .not_valid_after(_START + _AUTHORITY_VALIDITY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.CRLDistributionPoints([point]), critical=False)
        )


def _key_bytes(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(_DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _load_key(data: bytes) -> rsa.RSAPrivateKey:
    # Our own key: proving that its primes are prime takes a quarter of a second.
    key = serialization.load_der_private_key(
        data, password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


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
