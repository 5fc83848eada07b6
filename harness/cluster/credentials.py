# SPDX-License-Identifier: MIT
"""Credentials of a cluster: a key that every process of it has, and its certificate.

Dask does not tell schedulers, workers and clients apart by their certificates: each of them may
use everything. So there is one key, whose certificate is its own authority, and a process without
the key is refused in the TLS handshake. No other key is ever accepted, since no authority exists
that could sign for one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harness.errors import HostError, UsageError

__all__ = ["CERTIFICATE_FILE", "KEY_FILE", "check_credentials", "make_credentials"]

CERTIFICATE_FILE, KEY_FILE = "cluster.pem", "cluster-key.pem"
_VALID = timedelta(days=365)
_CLOCK_SKEW = timedelta(days=1)
_OTHERS = 0o077


def make_credentials(directory: Path) -> None:
    """Write a new key (mode 0600) and its certificate into ``directory``, which may exist.

    Raises :class:`UsageError` when it has credentials, :class:`HostError` when it cannot be
    written.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    certificate = _certificate(key).public_bytes(serialization.Encoding.PEM)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(directory / KEY_FILE, private)
        _write(directory / CERTIFICATE_FILE, certificate)
    except FileExistsError as error:
        raise UsageError(
            f"{error.filename} exists", hint="name another directory, or remove the old credentials"
        ) from error
    except OSError as error:
        raise HostError(
            f"cannot write credentials to {directory}: {error.strerror}",
            hint="name a directory that you can write to",
        ) from error


def check_credentials(directory: Path) -> None:
    """Raise :class:`UsageError` if a file is missing, or if other users may read the key."""
    for name in (CERTIFICATE_FILE, KEY_FILE):
        if not os.access(directory / name, os.R_OK):
            raise UsageError(
                f"the credentials {directory} have no {name} that can be read",
                hint=f"make credentials with `tsm-harness cluster credentials {directory}`",
            )
    key = directory / KEY_FILE
    if key.stat().st_mode & _OTHERS:
        raise UsageError(
            f"other users may open {key}: whoever reads it can run code on the cluster",
            hint=f"make new credentials; if nobody has read this key: chmod 600 {key}",
        )


def _write(path: Path, content: bytes) -> None:
    """Write a new file that only its owner may open."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tsm-harness cluster")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
