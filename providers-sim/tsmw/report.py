# SPDX-License-Identifier: MIT
"""REPORT on the provider port: the request's TLVs, and a reply of one or several frames.

Decoders raise WireError, and nothing else, on a payload that violates the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tsmw.constants import (
    MAX_PAYLOAD,
    REPLY,
    FrameFlag,
    FrameType,
    ReplyFlag,
    RequestTag,
    Status,
)
from tsmw.errors import WireError
from tsmw.frame import Frame
from tsmw.layout import Layout
from tsmw.tlv import Member, decode_members, encode_members

__all__ = [
    "REPORT_REPLY",
    "Evidence",
    "ReportRequest",
    "decode_report_reply",
    "decode_report_request",
    "encode_report_request",
    "report_reply_frames",
]

REPORT_REPLY = Layout("a REPORT reply", "IIII")

_INBLOB_MAX = 64
_TLVS: dict[int, Member] = {
    RequestTag.PRIVLEVEL: Member("privlevel", int),
    RequestTag.INBLOB: Member("inblob", bytes, (0, _INBLOB_MAX), required=True),
    RequestTag.INBLOB_ARRAY: Member("inblob_array", bytes, (_INBLOB_MAX, _INBLOB_MAX)),
    RequestTag.SERVICE_PROVIDER: Member("service_provider", bytes),
    RequestTag.SERVICE_GUID: Member("service_guid", bytes, (16, 16)),
    RequestTag.MANIFEST_VERSION: Member("manifest_version", int),
    RequestTag.FORMAT: Member("format", int),
    RequestTag.MARK: Member("mark", int),
    RequestTag.CALLER: Member("caller", int),
}


@dataclass(frozen=True, slots=True)
class ReportRequest:
    """One REPORT request; a member is None (or 0) when the guest did not send it.

    ``inblob`` is the nonce as the implementation passes it to the driver, ``inblob_array`` the
    whole 64-byte array that holds it, with the rest of an earlier, longer nonce.
    ``service_provider`` has no NUL. ``service_guid`` is a ``guid_t`` as it lies in memory
    (``uuid.UUID(bytes_le=...)``). ``format``: 0 default, 1 extended; only the sysfs class has it.
    ``mark`` is the number in the driver's attribute ``mark`` when it sent the request. ``caller``
    is the process id of the task that made the implementation ask for the report.
    """

    id: int
    inblob: bytes
    privlevel: int = 0
    inblob_array: bytes | None = None
    service_provider: bytes | None = None
    service_guid: bytes | None = None
    manifest_version: int = 0
    format: int = 0
    mark: int = 0
    caller: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """The blobs of one report; an empty one is absent."""

    outblob: bytes
    auxblob: bytes = b""
    manifestblob: bytes = b""


def encode_report_request(request: ReportRequest) -> bytes:
    """Encode a REPORT request."""
    return encode_members(request, _TLVS)


def decode_report_request(ident: int, payload: bytes) -> ReportRequest:
    """Decode the REPORT request with this id."""
    return ReportRequest(id=ident, **decode_members("REPORT", payload, _TLVS))


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
        end = start + max_payload
        more = FrameFlag.MORE if end < len(body) else FrameFlag(0)
        yield Frame(FrameType.REPORT | REPLY, more, session, ident, Status.OK, body[start:end])


def decode_report_reply(body: bytes) -> tuple[Evidence, ReplyFlag]:
    """Decode the joined payloads of all frames of a successful REPORT reply."""
    out, aux, manifest, flags = REPORT_REPLY.unpack_from(body)
    blobs = body[REPORT_REPLY.size :]
    if out + aux + manifest != len(blobs):
        raise WireError(
            f"a REPORT reply announces blobs of {out} + {aux} + {manifest} bytes, but carries"
            f" {len(blobs)}"
        )
    evidence = Evidence(blobs[:out], blobs[out : out + aux], blobs[out + aux :])
    return evidence, ReplyFlag(flags)
