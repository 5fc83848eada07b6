# SPDX-License-Identifier: MIT
"""REPORT on the provider port: the request's TLVs, and a reply of one or several frames.

The decoders take a payload from an untrusted peer and raise WireError, and nothing else, on
one that breaks the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from tsmw.constants import (
    MAX_PAYLOAD,
    OPTIONAL_TLV,
    REPLY,
    FrameFlag,
    FrameType,
    ReplyFlag,
    RequestTag,
    Status,
)
from tsmw.errors import WireError
from tsmw.frame import Frame
from tsmw.tlv import decode_tlvs, encode_tlvs

__all__ = [
    "REPORT_REPLY",
    "Evidence",
    "ReportRequest",
    "UnknownTlvError",
    "decode_report_reply",
    "decode_report_request",
    "decode_u32",
    "encode_report_request",
    "report_reply_frames",
]

REPORT_REPLY = Struct("<IIII")

_INBLOB_MAX = 64


class UnknownTlvError(WireError):
    """A REPORT request has a mandatory TLV this version does not know; answered UNSUPPORTED."""


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """One REPORT request; a member is None (or 0) when the guest did not send it.

    ``inblob`` is what the core says the user wrote; ``inblob_array`` its whole 64-byte array,
    with whatever an earlier, longer value left behind it. ``service_provider`` has no NUL.
    ``service_guid`` is a ``guid_t`` as it lies in memory (``uuid.UUID(bytes_le=...)``).
    ``format``: 0 default, 1 extended; only the sysfs class has it.
    """

    id: int
    inblob: bytes
    privlevel: int = 0
    inblob_array: bytes | None = None
    service_provider: bytes | None = None
    service_guid: bytes | None = None
    manifest_version: int = 0
    format: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The blobs of one report; an empty one is absent."""

    outblob: bytes
    auxblob: bytes = b""
    manifestblob: bytes = b""


def encode_report_request(request: ReportRequest) -> bytes:
    """Encode a REPORT request."""
    tlvs: list[tuple[int, bytes]] = [
        (RequestTag.PRIVLEVEL, request.privlevel.to_bytes(4, "little")),
        (RequestTag.INBLOB, request.inblob),
    ]
    if request.inblob_array is not None:
        tlvs.append((RequestTag.INBLOB_ARRAY, request.inblob_array))
    if request.service_provider is not None:
        tlvs.append((RequestTag.SERVICE_PROVIDER, request.service_provider))
    if request.service_guid is not None:
        tlvs.append((RequestTag.SERVICE_GUID, request.service_guid))
    tlvs.append((RequestTag.MANIFEST_VERSION, request.manifest_version.to_bytes(4, "little")))
    tlvs.append((RequestTag.FORMAT, request.format.to_bytes(4, "little")))
    return encode_tlvs(tlvs)


def decode_report_request(ident: int, payload: bytes) -> ReportRequest:
    """Decode the REPORT request with this id."""
    tlvs = dict(decode_tlvs(payload))
    for tag in tlvs:
        if not tag & OPTIONAL_TLV and tag not in _REQUEST_TAGS:
            raise UnknownTlvError(f"REPORT has the mandatory TLV {tag:#x}, unknown to version 1")
    inblob = tlvs.get(RequestTag.INBLOB)
    if inblob is None or len(inblob) > _INBLOB_MAX:
        size = "none" if inblob is None else f"{len(inblob)} bytes"
        raise WireError(f"REPORT must have an inblob of at most {_INBLOB_MAX} bytes; it has {size}")
    for tag, size_wanted in _FIXED_SIZES.items():
        if tag in tlvs and len(tlvs[tag]) != size_wanted:
            raise WireError(f"{tag.name} must have {size_wanted} bytes, not {len(tlvs[tag])}")
    return ReportRequest(
        id=ident,
        inblob=inblob,
        privlevel=int.from_bytes(tlvs.get(RequestTag.PRIVLEVEL, b""), "little"),
        inblob_array=tlvs.get(RequestTag.INBLOB_ARRAY),
        service_provider=tlvs.get(RequestTag.SERVICE_PROVIDER),
        service_guid=tlvs.get(RequestTag.SERVICE_GUID),
        manifest_version=int.from_bytes(tlvs.get(RequestTag.MANIFEST_VERSION, b""), "little"),
        format=int.from_bytes(tlvs.get(RequestTag.FORMAT, b""), "little"),
    )


_REQUEST_TAGS = frozenset(RequestTag)
_FIXED_SIZES = {
    RequestTag.PRIVLEVEL: 4,
    RequestTag.INBLOB_ARRAY: _INBLOB_MAX,
    RequestTag.SERVICE_GUID: 16,
    RequestTag.MANIFEST_VERSION: 4,
    RequestTag.FORMAT: 4,
}


def report_reply_frames(
    session: int,
    ident: int,
    evidence: Evidence,
    flags: int = 0,
    max_payload: int = MAX_PAYLOAD,
) -> Iterator[Frame]:
    """Make the frames of a successful REPORT reply one at a time; all but the last have MORE."""
    blobs = (evidence.outblob, evidence.auxblob, evidence.manifestblob)
    body = REPORT_REPLY.pack(*map(len, blobs), flags) + b"".join(blobs)
    for start in range(0, len(body), max_payload):
        more = FrameFlag.MORE if start + max_payload < len(body) else FrameFlag(0)
        yield Frame(
            FrameType.REPORT | REPLY,
            more,
            session,
            ident,
            Status.OK,
            body[start : start + max_payload],
        )


def decode_report_reply(body: bytes) -> tuple[Evidence, ReplyFlag]:
    """Decode the joined payloads of all frames of a successful REPORT reply."""
    if len(body) < REPORT_REPLY.size:
        raise WireError(f"a REPORT reply has at least {REPORT_REPLY.size} bytes, not {len(body)}")
    out, aux, manifest, flags = REPORT_REPLY.unpack_from(body)
    ends = (REPORT_REPLY.size + out, REPORT_REPLY.size + out + aux)
    if ends[1] + manifest != len(body):
        raise WireError(f"a REPORT reply announces {out} + {aux} + {manifest} bytes in {len(body)}")
    return (
        Evidence(body[REPORT_REPLY.size : ends[0]], body[ends[0] : ends[1]], body[ends[1] :]),
        ReplyFlag(flags),
    )


def decode_u32(what: str, payload: bytes) -> int:
    """Decode the one integer that is the whole payload of CANCEL and of REGISTERED."""
    if len(payload) != 4:
        raise WireError(f"{what} carries 4 bytes, not {len(payload)}")
    return int.from_bytes(payload, "little")
