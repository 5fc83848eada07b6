# SPDX-License-Identifier: MIT
"""The X.509 form of CoVE evidence, and the identifiers that name its parties.

Source: riscv-non-isa/riscv-ap-tee, section "X.509 Attestation Certificate". A party's CDI_ID is
derived from its public key; the specification leaves the function open: here HKDF-SHA-512 over
the encoded COSE_Key, 20 bytes, the first bit cleared so that it is also a serial number.
"""

from __future__ import annotations

from datetime import UTC, datetime

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from providers_sim.evidence.cose import PrivateKey, PublicKey, cose_key
from providers_sim.evidence.cove.evidence import UCCS_EVIDENCE

__all__ = ["cdi_id", "issue"]

_START = datetime(2024, 1, 1, tzinfo=UTC)
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_CDI_ID_SIZE = 20


def cdi_id(key: PublicKey) -> bytes:
    """Return the 20 bytes that name the holder of ``key``."""
    kdf = HKDF(hashes.SHA512(), _CDI_ID_SIZE, salt=None, info=b"CDI_ID")
    first, *others = kdf.derive(cbor2.dumps(cose_key(key)))
    return bytes((first & 0x7F or 0x01, *others))


def issue(tvm_key: PublicKey, tsm_key: PrivateKey, uccs: bytes) -> bytes:
    """Return the DER certificate of a TVM, ``uccs`` in its extension, signed by the TSM."""
    issuer_id, subject_id = cdi_id(tsm_key.public_key()), cdi_id(tvm_key)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject_id))
        .issuer_name(_name(issuer_id))
        .serial_number(int.from_bytes(issuer_id, "big"))
        .public_key(tvm_key)
        .not_valid_before(_START)
        .not_valid_after(_NEVER)
        .add_extension(x509.AuthorityKeyIdentifier(issuer_id, None, None), critical=False)
        .add_extension(x509.SubjectKeyIdentifier(subject_id), critical=False)
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.UnrecognizedExtension(UCCS_EVIDENCE, uccs), critical=True)
    )
    if isinstance(tsm_key, ec.EllipticCurvePrivateKey):
        signed = builder.sign(tsm_key, hashes.SHA512(), ecdsa_deterministic=True)
    else:
        signed = builder.sign(tsm_key, None)
    return signed.public_bytes(serialization.Encoding.DER)


def _name(identifier: bytes) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, identifier.hex())])
