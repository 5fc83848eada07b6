# SPDX-License-Identifier: MIT
"""A test PKI with the structure of AMD's: ARK (self-signed), ASK -> VCEK, ASVK -> VLEK, CRLs.

Names, key types, extensions and validity follow the certificates that AMD's key distribution
service issues (AMD, VCEK Certificate and KDS Interface Specification, document 57230; VLEK
Certificate Definition, document 58369). Serial numbers start at 1; AMD's VCEKs have 0, which
X.509 forbids.
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
from providers_sim.evidence.x509_build import (
    certificate_builder,
    crl_distribution_points,
    key_usage,
    x509_name,
)
from providers_sim.pki_store import PkiStore

__all__ = ["OID_PREFIX", "PRODUCTS", "KeyKind", "Pki", "Product"]

KeyKind = Literal["vcek", "vlek"]

OID_PREFIX = "1.3.6.1.4.1.3704.1"
"""Prefix of the extensions that bind a VCEK or VLEK to a product, TCB, and chip or provider."""

_CSP_ID = "tsm-harness"
_SHA384 = hashes.SHA384()
_PSS = padding.PSS(mgf=padding.MGF1(_SHA384), salt_length=48)
_START = datetime(2024, 1, 1, tzinfo=UTC)
_AUTHORITY_VALIDITY = (_START, _START + timedelta(days=25 * 365))
_LEAF_VALIDITY = (_START, _START + timedelta(days=7 * 365))
_DER = serialization.Encoding.DER
_INTERMEDIATE_NAMES = {"vcek": "SEV-{}", "vlek": "SEV-VLEK-{}"}


@dataclass(frozen=True, slots=True)
class Product:
    """A processor line: its name in certificates, its stepping, its CPUID in reports."""

    name: str
    stepping: str
    cpuid: bytes


PRODUCTS = {
    "milan": Product("Milan", "Milan-B1", bytes((0x19, 0x01, 0x01))),
    "genoa": Product("Genoa", "Genoa-B1", bytes((0x19, 0x11, 0x01))),
}


class Pki:
    """The test PKI number ``root`` of ``product``, made on first use and kept in ``store``.

    Certificates and CRLs are DER. Making an authority takes about a second (RSA-4096).
    """

    def __init__(self, store: PkiStore, product: Product, root: int) -> None:
        self._store = store
        self._product = product
        self._group = f"sev-snp-{product.name.lower()}-{root}"
        self.ark, self._ark_key = store.get(
            f"{self._group}-ark", self._make_ark, "ark", "key", signs=f"{self._group}-"
        )

    def intermediate(self, kind: KeyKind) -> bytes:
        """Return the certificate of the authority that signs VCEKs (ASK) or VLEKs (ASVK)."""
        return self._intermediate(kind)[0]

    def crl(self, kind: KeyKind) -> bytes:
        """Return the ARK's revocation list for the chain of ``kind``; it revokes nothing."""
        return self._intermediate(kind)[2]

    def leaf(
        self, kind: KeyKind, key: ec.EllipticCurvePublicKey, chip_id: bytes, tcb: Tcb
    ) -> bytes:
        """Certify ``key`` at ``tcb``: as the VCEK of this chip (64 bytes), or as a VLEK."""
        issuer = x509.load_der_x509_certificate(self.intermediate(kind))
        named = chip_id + key.public_bytes(_DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        mark = hashlib.sha256(named + tcb.encode() + issuer.fingerprint(_SHA384)).hexdigest()[:32]

        def make() -> dict[str, bytes]:
            builder = certificate_builder(
                _name(f"SEV-{kind.upper()}"), issuer.subject, 1, key, _LEAF_VALIDITY
            )
            for suffix, value in self._leaf_extensions(kind, chip_id, tcb):
                oid = x509.ObjectIdentifier(f"{OID_PREFIX}.{suffix}")
                extension = x509.UnrecognizedExtension(oid, value)
                builder = builder.add_extension(extension, critical=False)
            issuer_key = _load_key(self._intermediate(kind)[1])
            return {"certificate": _sign(builder, issuer_key)}

        return self._store.get(f"{self._group}-{kind}-{mark}", make, "certificate")[0]

    def _intermediate(self, kind: KeyKind) -> list[bytes]:
        group = f"{self._group}-{'ask' if kind == 'vcek' else 'asvk'}"
        return self._store.get(group, lambda: self._make_intermediate(kind), "cert", "key", "crl")

    def _make_ark(self) -> dict[str, bytes]:
        key = rsa.generate_private_key(65537, 4096)
        name = _name(f"ARK-{self._product.name}")
        builder = (
            self._authority(name, name, 1, key.public_key(), "vcek")
            .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        )
        return {"ark": _sign(builder, key), "key": _key_bytes(key)}

    def _make_intermediate(self, kind: KeyKind) -> dict[str, bytes]:
        ark_key = _load_key(self._ark_key)
        ark = x509.load_der_x509_certificate(self.ark)
        key = rsa.generate_private_key(65537, 4096)
        name = _name(_INTERMEDIATE_NAMES[kind].format(self._product.name))
        ark_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            x509.SubjectKeyIdentifier.from_public_key(ark_key.public_key())
        )
        builder = (
            self._authority(name, ark.subject, 2 + (kind == "vlek"), key.public_key(), kind)
            .add_extension(key_usage("key_cert_sign"), critical=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(ark_id, critical=False)
        )
        crl = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(ark.subject)
            .last_update(_AUTHORITY_VALIDITY[0])
            .next_update(_AUTHORITY_VALIDITY[1])
            .add_extension(x509.CRLNumber(1), critical=False)
            .sign(ark_key, _SHA384, rsa_padding=_PSS)
        )
        return {
            "cert": _sign(builder, ark_key),
            "key": _key_bytes(key),
            "crl": crl.public_bytes(_DER),
        }

    def _leaf_extensions(self, kind: KeyKind, chip_id: bytes, tcb: Tcb) -> list[tuple[str, bytes]]:
        """Return suffixes and DER values in AMD's order; AMD does not encode the hardware id."""
        spl = {1: tcb.boot_loader, 2: tcb.tee, 4: 0, 5: 0, 6: 0, 7: 0, 3: tcb.snp, 8: tcb.microcode}
        if kind == "vcek":
            product, holder = self._product.stepping, ("4", chip_id)
        else:
            product, holder = self._product.name, ("5", der.ia5_string(_CSP_ID))
        return [
            ("1", der.integer(0)),
            ("2", der.ia5_string(product)),
            *((f"3.{index}", der.integer(level)) for index, level in spl.items()),
            holder,
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
        return (
            certificate_builder(subject, issuer, serial, key, _AUTHORITY_VALIDITY)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(crl_distribution_points(url), critical=False)
        )


def _sign(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> bytes:
    return builder.sign(key, _SHA384, rsa_padding=_PSS).public_bytes(_DER)


def _key_bytes(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(_DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _load_key(data: bytes) -> rsa.RSAPrivateKey:
    # The key is from our own store; checking that its primes are prime takes 0.25 s.
    key = serialization.load_der_private_key(
        data, password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _name(common_name: str) -> x509.Name:
    return x509_name(
        {
            NameOID.ORGANIZATIONAL_UNIT_NAME: "Engineering",
            NameOID.COUNTRY_NAME: "US",
            NameOID.LOCALITY_NAME: "Santa Clara",
            NameOID.STATE_OR_PROVINCE_NAME: "CA",
            NameOID.ORGANIZATION_NAME: "Advanced Micro Devices",
            NameOID.COMMON_NAME: common_name,
        }
    )
