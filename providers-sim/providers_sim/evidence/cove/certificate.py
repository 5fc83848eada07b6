# SPDX-License-Identifier: MIT
"""The X.509 form of CoVE evidence, and the identifiers of issuer and subject.

Source: riscv-non-isa/riscv-ap-tee, section "X.509 Attestation Certificate". A CDI_ID is derived
from a public key; the specification does not define the function. It is HKDF-SHA-512 over the
encoded COSE_Key, 20 bytes, with the first bit cleared so that it is also a valid serial number.
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from providers_sim.evidence.cose import PrivateKey, PublicKey, cose_key, encode
from providers_sim.evidence.cove.evidence import UCCS_EVIDENCE
from providers_sim.evidence.x509_build import certificate_builder, key_usage, x509_name

__all__ = ["cdi_id", "issue_certificate"]

_VALIDITY = (datetime(2024, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))
_CDI_ID_SIZE = 20


def cdi_id(key: PublicKey) -> bytes:
    """Return the 20 bytes that identify the holder of ``key``."""
    kdf = HKDF(hashes.SHA512(), _CDI_ID_SIZE, salt=None, info=b"CDI_ID")
    first, *others = kdf.derive(encode(cose_key(key)))
    return bytes((first & 0x7F or 0x01, *others))


def issue_certificate(tvm_key: PublicKey, tsm_key: PrivateKey, uccs: bytes) -> bytes:
    """Return the DER certificate of a TVM with ``uccs`` in its extension, signed by the TSM."""
    issuer_id, subject_id = cdi_id(tsm_key.public_key()), cdi_id(tvm_key)
    subject, issuer = (
        x509_name({x509.NameOID.COMMON_NAME: identifier.hex()})
        for identifier in (subject_id, issuer_id)
    )
    serial = int.from_bytes(issuer_id, "big")
    builder = (
        certificate_builder(subject, issuer, serial, tvm_key, _VALIDITY)
        .add_extension(x509.AuthorityKeyIdentifier(issuer_id, None, None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier(subject_id), critical=False)
        .add_extension(key_usage("key_cert_sign"), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.UnrecognizedExtension(UCCS_EVIDENCE, uccs), critical=True)
    )
    if isinstance(tsm_key, ec.EllipticCurvePrivateKey):
        signed = builder.sign(tsm_key, hashes.SHA512(), ecdsa_deterministic=True)
    else:
        signed = builder.sign(tsm_key, None)
    return signed.public_bytes(serialization.Encoding.DER)
