# SPDX-License-Identifier: MIT
"""From evidence to the bytes of a REPORT reply, with the damage a fault asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from providers_sim.faults import Corruption, Fault
from tsmw.constants import MAGIC
from tsmw.frame import HEADER_SIZE, Frame, encode_frame
from tsmw.report import REPORT_REPLY, Evidence, report_reply_frames

__all__ = ["reply_bytes", "shape"]

_GARBAGE = b"\xff\x00TSM" + MAGIC.to_bytes(4, "little") + bytes(range(40))
_SESSION_BYTE = 8


def shape(evidence: Evidence, fault: Fault) -> Evidence:
    """Return what ``fault`` makes of ``evidence`` before it is sent."""
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
    shaped = replace(evidence, outblob=outblob)
    if fault.no_auxblob:
        shaped = replace(shaped, auxblob=b"")
    if fault.keep_lengths:
        shaped = replace(shaped, auxblob=b"", manifestblob=b"")
    return shaped


def reply_bytes(
    session: int, ident: int, evidence: Evidence, fault: Fault, max_payload: int
) -> Iterator[bytes]:
    """Make the reply frame by frame; ``corrupt`` strikes the first."""
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
