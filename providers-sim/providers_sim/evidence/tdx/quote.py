# SPDX-License-Identifier: MIT
"""TD quotes, versions 4 and 5.

Header 48 bytes; version 5 then has a body descriptor {type u16, size u32}; body of 584 bytes
(TDX 1.0) or 648 (1.5); signature length u32; signature data: signature 64, attestation key 64,
certification data {type u16 = 6, size u32}: QE report 384, its signature 64, {size u16, QE
authentication data}, {type u16 = 5, size u32, PCK certificate chain in PEM}. Integers are
little-endian, ECDSA values r, s, x, y big-endian (Intel, TDX DCAP Quoting Library API, appendix
"Quote Format"). A platform may pad the quote with zeros.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct

from providers_sim.errors import EvidenceError
from providers_sim.evidence.layout import Layout

__all__ = [
    "BODY_TYPES",
    "QE_VENDOR",
    "QeReport",
    "Quote",
    "QuoteBody",
    "encode_qe_report",
    "encode_quote",
    "key_binding",
    "parse_quote",
    "signed_part",
]

QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
BODY_TYPES = {"1.0": 2, "1.5": 3}
"""The body type that a version 5 descriptor names."""

_ECDSA_P256, _TEE_TDX = 2, 0x81
_QE_CERTIFICATION, _PCK_CHAIN = 6, 5
_HEADER = Layout(
    "a quote's header",
    ("version", "H"),
    ("key_type", "H"),
    ("tee_type", "I"),
    ("", "4s"),
    ("vendor", "16s"),
    ("user_data", "20s"),
)
_BODY_MEMBERS = (
    ("tee_tcb_svn", "16s"),
    ("mr_seam", "48s"),
    ("mr_signer_seam", "48s"),
    ("seam_attributes", "8s"),
    ("td_attributes", "8s"),
    ("xfam", "8s"),
    ("mr_td", "48s"),
    ("mr_config_id", "48s"),
    ("mr_owner", "48s"),
    ("mr_owner_config", "48s"),
    ("rtmr0", "48s"),
    ("rtmr1", "48s"),
    ("rtmr2", "48s"),
    ("rtmr3", "48s"),
    ("report_data", "64s"),
)
_BODY_10 = Layout("a TD 1.0 body", *_BODY_MEMBERS)
_BODY_15 = Layout(
    "a TD 1.5 body", *_BODY_MEMBERS, ("tee_tcb_svn2", "16s"), ("mr_service_td", "48s")
)
_QE_REPORT = Layout(
    "a QE report",
    ("cpu_svn", "16s"),
    ("misc_select", "I"),
    ("", "28s"),
    ("attributes", "16s"),
    ("mr_enclave", "32s"),
    ("", "32s"),
    ("mr_signer", "32s"),
    ("", "96s"),
    ("isv_prod_id", "H"),
    ("isv_svn", "H"),
    ("", "60s"),
    ("report_data", "64s"),
)
_DESCRIPTOR = Struct("<HI")
_SIZED = Struct("<HI")
_U16, _U32 = Struct("<H"), Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteBody:
    """The TD report inside a quote; the last two members are None in a 1.0 body."""

    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes
    seam_attributes: bytes
    td_attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes
    mr_owner: bytes
    mr_owner_config: bytes
    rtmr0: bytes
    rtmr1: bytes
    rtmr2: bytes
    rtmr3: bytes
    report_data: bytes
    tee_tcb_svn2: bytes | None = None
    mr_service_td: bytes | None = None

    @property
    def kind(self) -> str:
        """The TDX version whose body this is: "1.0" or "1.5"."""
        return "1.0" if self.tee_tcb_svn2 is None else "1.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class QeReport:
    """The SGX report of the quoting enclave."""

    cpu_svn: bytes
    misc_select: int
    attributes: bytes
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    report_data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A whole quote; signatures and keys are their 64 bytes, ``pck_chain`` is PEM."""

    version: int
    user_data: bytes
    body: QuoteBody
    signature: bytes
    attestation_key: bytes
    qe_report: QeReport
    qe_signature: bytes
    qe_auth: bytes
    pck_chain: bytes
    padding: int = 0


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    user_data: bytes
    key_type: int = _ECDSA_P256
    tee_type: int = _TEE_TDX
    vendor: bytes = QE_VENDOR


def key_binding(attestation_key: bytes, qe_auth: bytes) -> bytes:
    """Return what a QE report's data must be: SHA-256(key || authentication data), 32 zeros."""
    return hashlib.sha256(attestation_key + qe_auth).digest() + bytes(32)


def encode_qe_report(report: QeReport) -> bytes:
    """Encode the 384 bytes that the PCK key signs."""
    return _QE_REPORT.encode(report)


def signed_part(version: int, user_data: bytes, body: QuoteBody) -> bytes:
    """Encode what the attestation key signs: header, descriptor (version 5), body."""
    if version not in (4, 5) or (version == 4 and body.kind != "1.0"):
        raise EvidenceError(f"a version {version} quote cannot have a TD {body.kind} body")
    layout = _BODY_10 if body.kind == "1.0" else _BODY_15
    descriptor = b""
    if version == 5:
        descriptor = _DESCRIPTOR.pack(BODY_TYPES[body.kind], layout.size)
    return _HEADER.encode(_Header(version, user_data)) + descriptor + layout.encode(body)


def encode_quote(quote: Quote) -> bytes:
    """Encode a quote whose signatures were made; EvidenceError when a member does not fit."""
    for name in ("signature", "attestation_key", "qe_signature"):
        if len(getattr(quote, name)) != 64:
            raise EvidenceError(f"{name} of a quote has 64 bytes, not {len(getattr(quote, name))}")
    inner = (
        _QE_REPORT.encode(quote.qe_report)
        + quote.qe_signature
        + _U16.pack(len(quote.qe_auth))
        + quote.qe_auth
        + _SIZED.pack(_PCK_CHAIN, len(quote.pck_chain))
        + quote.pck_chain
    )
    signature_data = (
        quote.signature + quote.attestation_key + _SIZED.pack(_QE_CERTIFICATION, len(inner)) + inner
    )
    head = signed_part(quote.version, quote.user_data, quote.body)
    return head + _U32.pack(len(signature_data)) + signature_data + bytes(quote.padding)


def parse_quote(blob: bytes) -> Quote:
    """Decode a quote; signatures are not verified.

    Raises EvidenceError on a wrong length anywhere, a type other than those above, a reserved
    byte that is not 0, an attestation key that its QE report does not bind, or padding that is
    not zero.
    """
    rest = _Reader(blob)
    header = _HEADER.decode(rest.take(_HEADER.size))
    version = header["version"]
    known = (_ECDSA_P256, _TEE_TDX, QE_VENDOR)
    if version not in (4, 5) or (header["key_type"], header["tee_type"], header["vendor"]) != known:
        raise EvidenceError(f"this is no TD quote of version 4 or 5: {header}")
    body = _read_body(rest, version)
    data = _Reader(rest.take(rest.u32()))
    padding = rest.rest()
    signature, key = data.take(64), data.take(64)
    certification = _Reader(data.sized(_QE_CERTIFICATION))
    data.end()
    qe_report = QeReport(**_QE_REPORT.decode(certification.take(_QE_REPORT.size)))
    qe_signature = certification.take(64)
    qe_auth = certification.take(certification.u16())
    chain = certification.sized(_PCK_CHAIN)
    certification.end()
    if qe_report.report_data != key_binding(key, qe_auth):
        raise EvidenceError("the QE report does not bind the attestation key")
    if any(padding):
        raise EvidenceError("bytes that are not 0 follow the quote")
    return Quote(
        version=version,
        user_data=header["user_data"],
        body=body,
        signature=signature,
        attestation_key=key,
        qe_report=qe_report,
        qe_signature=qe_signature,
        qe_auth=qe_auth,
        pck_chain=chain,
        padding=len(padding),
    )


def _read_body(rest: _Reader, version: int) -> QuoteBody:
    layout = _BODY_10
    if version == 5:
        kind, size = _DESCRIPTOR.unpack(rest.take(_DESCRIPTOR.size))
        layouts = {BODY_TYPES["1.0"]: _BODY_10, BODY_TYPES["1.5"]: _BODY_15}
        if kind not in layouts or size != layouts[kind].size:
            raise EvidenceError(f"a body of type {kind} with {size} bytes is no TD report")
        layout = layouts[kind]
    return QuoteBody(**layout.decode(rest.take(layout.size)))


class _Reader:
    """Takes bytes from the front; EvidenceError when there are too few, or some are left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    def take(self, size: int) -> bytes:
        """Take exactly ``size`` bytes."""
        if size > len(self._data) - self._pos:
            left = len(self._data) - self._pos
            raise EvidenceError(f"the quote ends early: {size} bytes wanted, {left} left")
        self._pos += size
        return self._data[self._pos - size : self._pos]

    def u16(self) -> int:
        """Take a u16."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Take a u32."""
        return int.from_bytes(self.take(4), "little")

    def sized(self, wanted: int) -> bytes:
        """Take {type u16, size u32, content}, which must be of the type ``wanted``."""
        kind, size = _SIZED.unpack(self.take(_SIZED.size))
        if kind != wanted:
            raise EvidenceError(f"certification data of type {kind}, where {wanted} belongs")
        return self.take(size)

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(len(self._data) - self._pos)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._pos != len(self._data):
            raise EvidenceError(f"{len(self._data) - self._pos} bytes too many in the quote")
