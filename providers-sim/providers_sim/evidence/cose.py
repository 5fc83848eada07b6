# SPDX-License-Identifier: MIT
"""COSE_Sign1 messages and keys (RFC 9052, RFC 9053), in the form that CCA and CoVE tokens use.

A COSE_Sign1 is the CBOR array [protected bstr, unprotected map, payload bstr, signature bstr]
under tag 18; its signature covers the CBOR array ["Signature1", protected, external data (none),
payload]. All encoded CBOR has definite lengths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from providers_sim.errors import EvidenceError
from providers_sim.keys import public_point, sign_raw

__all__ = [
    "ALGORITHMS",
    "SIGN1_TAG",
    "PrivateKey",
    "PublicKey",
    "Sign1",
    "cose_key",
    "decode",
    "encode",
    "loads",
    "parse_cose_key",
    "parse_sign1",
    "sign1",
]

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

SIGN1_TAG = 18
ALGORITHMS = {-7: "ES256", -35: "ES384", -36: "ES512", -8: "EdDSA"}
"""Names of the signature algorithms by their COSE number."""

_ALG, _KID = 1, 4
_BYTES, _TEXT, _MAP, _TAG = 2, 3, 5, 6  # major types of CBOR
_INTEGER_TAGS = (2, 3)
_MAX_INTEGER = 256  # bytes
_MAX_MEMBERS = 1024  # of a map
_MAX_ITEMS = 4096  # in all, if a map does not begin with its length
_UNBOUNDED_TAGS = (25, 28, 29, 35, 36, 256, 258)
_DIGESTS: dict[int, hashes.HashAlgorithm] = {
    -7: hashes.SHA256(),
    -35: hashes.SHA384(),
    -36: hashes.SHA512(),
}
_CURVES = {"secp256r1": 1, "secp384r1": 2}


@dataclass(frozen=True, slots=True)
class Sign1:
    """The members of a COSE_Sign1; ``protected`` is the decoded header."""

    protected: dict[Any, Any]
    unprotected: dict[Any, Any]
    payload: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        """The algorithm's name, or its number when it is not in ALGORITHMS."""
        number = self.protected.get(_ALG)
        return ALGORITHMS.get(number, str(number)) if isinstance(number, int) else str(number)


def sign1(
    payload: bytes,
    key: PrivateKey,
    algorithm: int,
    *,
    kid: bytes | None = None,
    unprotected: Mapping[int, object] | None = None,
) -> cbor2.CBORTag:
    """Sign ``payload``; return the tagged COSE_Sign1, which can be encoded or embedded.

    ``algorithm`` is a number of ALGORITHMS that fits ``key``; ``kid`` is put into the protected
    header.
    """
    header = {_ALG: algorithm} | ({_KID: kid} if kid is not None else {})
    protected = encode(header)
    signed = encode(["Signature1", protected, b"", payload])
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(signed)
    else:
        signature = sign_raw(key, signed, _DIGESTS[algorithm])
    return cbor2.CBORTag(SIGN1_TAG, [protected, dict(unprotected or {}), payload, signature])


def parse_sign1(value: object) -> Sign1:
    """Split a decoded CBOR value; EvidenceError when it is not a COSE_Sign1 under tag 18."""
    match value:
        case cbor2.CBORTag(
            tag=18, value=[bytes(protected), dict(unprotected), bytes(payload), bytes(signature)]
        ):
            header = decode(protected) if protected else {}
            if isinstance(header, dict):
                return Sign1(header, dict(unprotected), payload, signature)
    raise EvidenceError("this is not a COSE_Sign1 under tag 18")


def encode(value: object) -> bytes:
    """Encode a CBOR item in its shortest form, with definite lengths."""
    data: bytes = cbor2.dumps(value)
    return data


def loads(data: bytes) -> Any:  # noqa: ANN401 - CBOR can be anything
    """Decode CBOR in any encoding.

    Raises EvidenceError when it is malformed, and for what no evidence has and whose decoding is
    not bounded by its size: references, regular expressions, MIME, sets, integers of over 256
    bytes, and maps of over 1024 members, whose keys may have equal hashes.
    """
    _check_heads(data)
    try:
        return cbor2.loads(data)
    except Exception as error:  # the decoder of a tagged date raises several kinds
        raise EvidenceError(f"this is not CBOR: {error}") from error


def _check_heads(data: bytes) -> None:
    """Raise EvidenceError for an item that `loads()` refuses; malformed items are left to cbor2."""
    at, items, is_integer, is_open = 0, 0, False, False
    while at < len(data):
        major, info = data[at] >> 5, data[at] & 31
        width = {24: 1, 25: 2, 26: 4, 27: 8}.get(info, 0)
        argument = int.from_bytes(data[at + 1 : at + 1 + width], "big") if width else info
        if is_integer and (major != _BYTES or info > 27 or argument > _MAX_INTEGER):
            raise EvidenceError(f"this CBOR has an integer of over {_MAX_INTEGER} bytes")
        if major == _TAG and argument in _UNBOUNDED_TAGS:
            raise EvidenceError(f"this CBOR has tag {argument}, which no evidence has")
        items += 1
        is_open = is_open or (major, info) == (_MAP, 31)
        if (major == _MAP and info <= 27 and argument > _MAX_MEMBERS) or (
            is_open and items > _MAX_ITEMS
        ):
            raise EvidenceError(f"this CBOR has a map of over {_MAX_MEMBERS} members")
        is_integer = major == _TAG and argument in _INTEGER_TAGS
        at += 1 + width
        if major in (_BYTES, _TEXT) and info <= 27:
            at += argument


def decode(data: bytes) -> Any:  # noqa: ANN401 - CBOR can be anything
    """Decode exactly one CBOR item in its shortest form, with definite lengths.

    Raises EvidenceError when the item is malformed, encoded in another way or followed by bytes.
    """
    value = loads(data)
    try:
        again = cbor2.dumps(value)
    except Exception as error:  # values that were decoded from tagged dates and the like
        raise EvidenceError(f"this is not CBOR: {error}") from error
    if again != data:
        raise EvidenceError("this is not one CBOR item in its shortest form")
    return value


def cose_key(key: PublicKey) -> dict[int, object]:
    """Return the COSE_Key map of a public key (RFC 9053, sections 7.1 and 7.2)."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return {1: 1, -1: 6, -2: key.public_bytes_raw()}
    point = public_point(key)
    half = len(point) // 2
    return {1: 2, -1: _CURVES[key.curve.name], -2: point[:half], -3: point[half:]}


def parse_cose_key(value: object) -> PublicKey:
    """Decode a COSE_Key map; EvidenceError when it is not a P-256, P-384 or Ed25519 key."""
    try:
        match value:
            case {1: 1, -1: 6, -2: bytes(x), **rest} if not rest:
                return ed25519.Ed25519PublicKey.from_public_bytes(x)
            case {1: 2, -1: int(number), -2: bytes(x), -3: bytes(y), **rest} if not rest:
                curve = {1: ec.SECP256R1(), 2: ec.SECP384R1()}[number]
                size = curve.key_size // 8
                if len(x) == len(y) == size:
                    return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\x04" + x + y)
    except (ValueError, KeyError) as error:
        raise EvidenceError(f"this is not a public key: {error}") from error
    raise EvidenceError("this is not a COSE_Key of a P-256, P-384 or Ed25519 key")
