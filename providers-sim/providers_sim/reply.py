# SPDX-License-Identifier: MIT
"""From an answer to the bytes of a REPORT reply, with the damage that a fault asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from providers_sim.errors import ProviderRefusal
from providers_sim.faults import Corruption, Fault
from tsmw.constants import MAGIC, REPLY, FrameType, Status
from tsmw.frame import HEADER_SIZE, Frame, encode_frame
from tsmw.report import REPORT_REPLY, Evidence, report_reply_frames

__all__ = ["apply_fault", "refusal_frame", "reply_bytes"]

_GARBAGE = b"\xff\x00TSM" + MAGIC.to_bytes(4, "little") + bytes(range(40))
_SESSION_BYTE = 8


def apply_fault(evidence: Evidence, fault: Fault) -> Evidence:
    """Return the evidence that is sent in place of ``evidence`` under ``fault``."""
    outblob = evidence.outblob
    if fault.empty:
        return Evidence(b"")
    if fault.oversize is not None:
        outblob = (outblob * (fault.oversize // max(len(outblob), 1) + 1))[: fault.oversize]
    if fault.truncated:
        outblob = outblob[: -fault.truncated]
    outblob += bytes(fault.padded)
    if fault.flipped is not None and fault.flipped < 8 * len(outblob):
        flipped = bytearray(outblob)
        flipped[fault.flipped // 8] ^= 1 << fault.flipped % 8
        outblob = bytes(flipped)
    if fault.no_outblob:
        outblob = b""
    sent = replace(evidence, outblob=outblob)
    if fault.no_auxblob:
        sent = replace(sent, auxblob=b"")
    if fault.keep_lengths:
        sent = replace(sent, auxblob=b"", manifestblob=b"")
    return sent


def refusal_frame(session: int, ident: int, refusal: ProviderRefusal) -> Frame:
    """Return the REPORT reply that carries ``refusal``: its status, and its value if it has one."""
    payload = b""
    if refusal.status in (Status.INJECT, Status.THROTTLED):
        payload = (refusal.value & 0xFFFF_FFFF).to_bytes(4, "little")
    return Frame(FrameType.REPORT | REPLY, 0, session, ident, refusal.status, payload)


def reply_bytes(
    session: int, ident: int, evidence: Evidence, fault: Fault, max_payload: int
) -> Iterator[bytes]:
    """Encode a successful REPORT reply frame by frame; ``fault.corrupt`` damages the first."""
    frames = report_reply_frames(session, ident, evidence, fault.flags, max_payload)
    first = next(frames)
    if fault.corrupt is Corruption.LENGTHS:
        first = _announce_one_more(first)
    data = bytearray(encode_frame(first))
    if fault.corrupt is Corruption.PAYLOAD:
        data[HEADER_SIZE] ^= 0xFF
    elif fault.corrupt is Corruption.HEADER:
        data[_SESSION_BYTE] ^= 0xFF
    elif fault.corrupt is Corruption.GARBAGE:
        data[:0] = _GARBAGE
    yield bytes(data)
    for frame in frames:
        yield encode_frame(frame)


def _announce_one_more(frame: Frame) -> Frame:
    out, aux, manifest, flags = REPORT_REPLY.unpack_from(frame.payload)
    head = REPORT_REPLY.pack(out + 1, aux, manifest, flags)
    return frame._replace(payload=head + frame.payload[REPORT_REPLY.size :])
