# SPDX-License-Identifier: MIT
"""TD quotes, versions 4 and 5.

Header 48 bytes; version 5 then has a body descriptor {type u16, size u32}; body of 584 bytes
(TDX 1.0) or 648 (1.5); signature length u32; signature data: signature 64, attestation key 64,
certification data {type u16 = 6, size u32}: QE report 384, its signature 64, {size u16, QE
authentication data}, {type u16 = 5, size u32, PCK certificate chain in PEM}. Integers are
little-endian, ECDSA values r, s, x, y big-endian (Intel, TDX DCAP Quoting Library API, appendix
"Quote Format"). A platform may append zero bytes to the quote.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from struct import Struct
from typing import Annotated, Any, ClassVar

from providers_sim.errors import EvidenceError
from providers_sim.evidence.layout import U16, U32, Layout

__all__ = [
    "QE_VENDOR",
    "QeReport",
    "Quote",
    "QuoteBody",
    "QuoteBody15",
    "encode_qe_report",
    "encode_quote",
    "key_binding",
    "parse_quote",
    "signed_part",
]

QE_VENDOR = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")

_ECDSA_P256, _TEE_TDX = 2, 0x81
_QE_CERTIFICATION, _PCK_CHAIN = 6, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteBody:
    """The TD report in a quote, as TDX 1.0 defines it."""

    tdx_version: ClassVar[str] = "1.0"
    descriptor_type: ClassVar[int] = 2
    tee_tcb_svn: Annotated[bytes, "16s"]
    mr_seam: Annotated[bytes, "48s"]
    mr_signer_seam: Annotated[bytes, "48s"]
    seam_attributes: Annotated[bytes, "8s"]
    td_attributes: Annotated[bytes, "8s"]
    xfam: Annotated[bytes, "8s"]
    mr_td: Annotated[bytes, "48s"]
    mr_config_id: Annotated[bytes, "48s"]
    mr_owner: Annotated[bytes, "48s"]
    mr_owner_config: Annotated[bytes, "48s"]
    rtmr0: Annotated[bytes, "48s"]
    rtmr1: Annotated[bytes, "48s"]
    rtmr2: Annotated[bytes, "48s"]
    rtmr3: Annotated[bytes, "48s"]
    report_data: Annotated[bytes, "64s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteBody15(QuoteBody):
    """The TD report in a quote, as TDX 1.5 defines it."""

    tdx_version: ClassVar[str] = "1.5"
    descriptor_type: ClassVar[int] = 3
    tee_tcb_svn2: Annotated[bytes, "16s"]
    mr_service_td: Annotated[bytes, "48s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QeReport:
    """The SGX report of the quoting enclave."""

    cpu_svn: Annotated[bytes, "16s"]
    misc_select: Annotated[int, "I28x"]
    attributes: Annotated[bytes, "16s"]
    mr_enclave: Annotated[bytes, "32s"]
    mr_signer: Annotated[bytes, "32x32s"]
    isv_prod_id: Annotated[int, "96xH"]
    isv_svn: U16
    report_data: Annotated[bytes, "60x64s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A quote; signatures and the attestation key have 64 bytes, ``pck_chain`` is PEM."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    version: U16
    key_type: U16 = _ECDSA_P256
    tee_type: U32 = _TEE_TDX
    vendor: Annotated[bytes, "4x16s"] = QE_VENDOR
    user_data: Annotated[bytes, "20s"]


_HEADER = Layout(_Header, "a quote's header")
_BODIES: dict[int, Layout[Any]] = {
    kind.descriptor_type: Layout(kind, f"a TD {kind.tdx_version} body")
    for kind in (QuoteBody, QuoteBody15)
}
_QE_REPORT = Layout(QeReport, "a QE report")
_TYPE_AND_SIZE = Struct("<HI")


def key_binding(attestation_key: bytes, qe_auth: bytes) -> bytes:
    """Return the report data of a QE report: SHA-256(key || authentication data), 32 zeros."""
    return hashlib.sha256(attestation_key + qe_auth).digest() + bytes(32)


def encode_qe_report(report: QeReport) -> bytes:
    """Encode the 384 bytes that the PCK key signs."""
    return _QE_REPORT.encode(report)


def signed_part(version: int, user_data: bytes, body: QuoteBody) -> bytes:
    """Encode the bytes that the attestation key signs: header, descriptor (version 5), body."""
    if version not in (4, 5) or (version == 4 and type(body) is not QuoteBody):
        raise EvidenceError(f"a version {version} quote cannot have a TD {body.tdx_version} body")
    layout = _BODIES[body.descriptor_type]
    descriptor = b""
    if version == 5:
        descriptor = _TYPE_AND_SIZE.pack(body.descriptor_type, layout.size)
    header = _HEADER.encode(_Header(version=version, user_data=user_data))
    return header + descriptor + layout.encode(body)


def encode_quote(quote: Quote) -> bytes:
    """Encode a signed quote; EvidenceError when a member does not fit."""
    for name in ("signature", "attestation_key", "qe_signature"):
        if len(getattr(quote, name)) != 64:
            raise EvidenceError(f"{name} of a quote has 64 bytes, not {len(getattr(quote, name))}")
    inner = (
        _QE_REPORT.encode(quote.qe_report)
        + quote.qe_signature
        + len(quote.qe_auth).to_bytes(2, "little")
        + quote.qe_auth
        + _TYPE_AND_SIZE.pack(_PCK_CHAIN, len(quote.pck_chain))
        + quote.pck_chain
    )
    signature_data = (
        quote.signature
        + quote.attestation_key
        + _TYPE_AND_SIZE.pack(_QE_CERTIFICATION, len(inner))
        + inner
    )
    head = signed_part(quote.version, quote.user_data, quote.body)
    return head + len(signature_data).to_bytes(4, "little") + signature_data + bytes(quote.padding)


def parse_quote(blob: bytes) -> Quote:
    """Decode a quote; signatures are not verified.

    Raises EvidenceError on a wrong length, an unknown type, a reserved byte that is not 0, an
    attestation key that the QE report does not bind, or padding that is not zero.
    """
    rest = _Reader(blob)
    header = _read_header(rest)
    body = _read_body(rest, header.version)
    data = _Reader(rest.take(rest.u32()))
    padding = rest.rest()
    signature, key = data.take(64), data.take(64)
    certification = _Reader(data.certification(_QE_CERTIFICATION))
    data.end()
    qe_report = _QE_REPORT.decode(certification.take(_QE_REPORT.size))
    qe_signature = certification.take(64)
    qe_auth = certification.take(certification.u16())
    chain = certification.certification(_PCK_CHAIN)
    certification.end()
    if qe_report.report_data != key_binding(key, qe_auth):
        raise EvidenceError("the QE report does not bind the attestation key")
    if any(padding):
        raise EvidenceError("the padding of the quote is not 0")
    return Quote(
        version=header.version,
        user_data=header.user_data,
        body=body,
        signature=signature,
        attestation_key=key,
        qe_report=qe_report,
        qe_signature=qe_signature,
        qe_auth=qe_auth,
        pck_chain=chain,
        padding=len(padding),
    )


def _read_header(rest: _Reader) -> _Header:
    header = _HEADER.decode(rest.take(_HEADER.size))
    known = _Header(version=header.version, user_data=header.user_data)
    if header.version not in (4, 5) or header != known:
        raise EvidenceError(
            f"this is not a TD quote of version 4 or 5: version {header.version}, key type "
            f"{header.key_type}, TEE type {header.tee_type:#x}, vendor {header.vendor.hex()}"
        )
    return header


def _read_body(rest: _Reader, version: int) -> QuoteBody:
    kind = QuoteBody.descriptor_type
    if version == 5:
        kind, size = _TYPE_AND_SIZE.unpack(rest.take(_TYPE_AND_SIZE.size))
        if kind not in _BODIES or size != _BODIES[kind].size:
            raise EvidenceError(f"a body of type {kind} with {size} bytes is not a TD report")
    body: QuoteBody = _BODIES[kind].decode(rest.take(_BODIES[kind].size))
    return body


class _Reader:
    """Reads bytes in order; EvidenceError when too few or too many are left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._pos = 0

    def take(self, size: int) -> bytes:
        """Read exactly ``size`` bytes."""
        if size > len(self._data) - self._pos:
            left = len(self._data) - self._pos
            raise EvidenceError(f"the quote ends early: {size} bytes expected, {left} left")
        self._pos += size
        return self._data[self._pos - size : self._pos]

    def u16(self) -> int:
        """Read a u16."""
        return int.from_bytes(self.take(2), "little")

    def u32(self) -> int:
        """Read a u32."""
        return int.from_bytes(self.take(4), "little")

    def certification(self, expected: int) -> bytes:
        """Read certification data {type u16, size u32, content} of the type ``expected``."""
        kind, size = _TYPE_AND_SIZE.unpack(self.take(_TYPE_AND_SIZE.size))
        if kind != expected:
            raise EvidenceError(f"the certification data has type {kind}, not {expected}")
        return self.take(size)

    def rest(self) -> bytes:
        """Read all remaining bytes."""
        return self.take(len(self._data) - self._pos)

    def end(self) -> None:
        """Raise EvidenceError when bytes are left."""
        if self._pos != len(self._data):
            raise EvidenceError(f"the quote has {len(self._data) - self._pos} bytes too many")
