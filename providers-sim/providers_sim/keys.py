# SPDX-License-Identifier: MIT
"""Derive bytes and keys from a seed; sign deterministically."""

from __future__ import annotations

from functools import cache
from hashlib import shake_256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

__all__ = ["derive", "derive_ec_key", "derive_ed25519_key", "public_point", "sign_raw"]

# SEC 2, Recommended Elliptic Curve Domain Parameters, version 2.0, section 2.
_ORDERS = {
    "secp256r1": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "secp384r1": int(
        "ffffffffffffffffffffffffffffffffffffffffffffffff"
        "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        16,
    ),
}


def derive(seed: int, label: str, size: int) -> bytes:
    """Derive ``size`` bytes from ``seed`` and ``label`` (SHAKE-256)."""
    return shake_256(f"{seed}:{label}".encode()).digest(size)


@cache
def derive_ec_key(seed: int, label: str, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """Derive a private key on P-256 or P-384 from ``seed`` and ``label``."""
    scalar = int.from_bytes(derive(seed, label, 64), "big") % (_ORDERS[curve.name] - 1) + 1
    return ec.derive_private_key(scalar, curve)


@cache
def derive_ed25519_key(seed: int, label: str) -> ed25519.Ed25519PrivateKey:
    """Derive an Ed25519 private key from ``seed`` and ``label``."""
    return ed25519.Ed25519PrivateKey.from_private_bytes(derive(seed, label, 32))


def sign_raw(key: ec.EllipticCurvePrivateKey, data: bytes, digest: hashes.HashAlgorithm) -> bytes:
    """Sign with ECDSA; return r and s, big-endian, each as long as the curve's order.

    The ECDSA nonce is deterministic (RFC 6979): the same key and data give the same bytes.
    """
    size = (key.curve.key_size + 7) // 8
    der = key.sign(data, ec.ECDSA(digest, deterministic_signing=True))
    r, s = decode_dss_signature(der)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def public_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Return x and y of the public point, big-endian, without a leading format byte."""
    numbers, size = key.public_numbers(), (key.curve.key_size + 7) // 8
    return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")
