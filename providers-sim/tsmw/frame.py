# SPDX-License-Identifier: MIT
"""TSMW frames: a 32-byte little-endian header, then the payload.

Header: magic u32, version u8, type u8, flags u16, session u32, id u32, payload length u32,
status u32, CRC-32 of the payload, CRC-32 of the 28 bytes before. CRC-32 is zlib's. It detects
damage, so that the parser resynchronises; it does not protect against forgery.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from tsmw.constants import MAGIC, MAX_PAYLOAD, VERSION
from tsmw.errors import WireError
from tsmw.layout import Layout

__all__ = ["HEAD", "HEADER_SIZE", "Frame", "FrameParser", "encode_frame"]

HEAD = Layout("a frame header", "IBBHIIIII")
"""The header without its last field, the CRC of the others."""
HEADER_SIZE = HEAD.size + 4

_unpack_head = HEAD.struct.unpack  # The parser checks the size itself.
_MAGIC_BYTES = MAGIC.to_bytes(4, "little")


class Frame(NamedTuple):
    """One frame. A named tuple is fast to build, which every round trip does."""

    type: int
    flags: int = 0
    session: int = 0
    id: int = 0
    status: int = 0
    payload: bytes = b""


def encode_frame(frame: Frame) -> bytes:
    """Encode ``frame``; WireError when a field does not fit (payload at most 64 KiB)."""
    kind, flags, session, ident, status, payload = frame
    if len(payload) > MAX_PAYLOAD:
        raise WireError(
            f"a frame carries at most {MAX_PAYLOAD} bytes, not {len(payload)}: split the message"
        )
    head = HEAD.pack(
        MAGIC, VERSION, kind, flags, session, ident, len(payload), status, crc32(payload)
    )
    return head + crc32(head).to_bytes(4, "little") + payload


class FrameParser:
    """Parses a byte stream, cut anywhere and possibly damaged, into frames.

    On a wrong magic, version or header CRC, the parser drops one byte and tries again. It skips a
    payload longer than ``max_payload`` and drops a payload with a wrong CRC. Between calls it
    keeps at most one header and ``max_payload`` bytes.

    Counters: ``resyncs`` (how often synchronisation was lost), ``discarded`` (bytes dropped
    until it was regained), ``crc_errors`` (payloads dropped), ``oversize`` (payloads skipped).
    """

    __slots__ = (
        "_lost_sync",
        "_skip",
        "_tail",
        "crc_errors",
        "discarded",
        "max_payload",
        "oversize",
        "resyncs",
    )

    def __init__(self, max_payload: int = MAX_PAYLOAD) -> None:
        self.max_payload = max_payload
        self.resyncs = 0
        self.discarded = 0
        self.crc_errors = 0
        self.oversize = 0
        self._tail = b""
        self._skip = 0
        self._lost_sync = False

    @property
    def damage(self) -> int:
        """How often anything was dropped."""
        return self.resyncs + self.crc_errors + self.oversize

    def feed(self, data: bytes) -> list[Frame]:
        """Parse the next bytes of the stream; return the frames that they complete, in order."""
        if self._tail:
            data = self._tail + data
        frames: list[Frame] = []
        pos, end = 0, len(data)
        while True:
            if self._skip:
                step = min(self._skip, end - pos)
                pos += step
                self._skip -= step
            if end - pos < HEADER_SIZE:
                break
            head = data[pos : pos + HEAD.size]
            magic, version, kind, flags, session, ident, length, status, crc = _unpack_head(head)
            body = pos + HEADER_SIZE
            if (
                magic != MAGIC
                or version != VERSION
                or crc32(head) != int.from_bytes(data[body - 4 : body], "little")
            ):
                pos = self._next_magic(data, pos)
                continue
            self._lost_sync = False
            if length > self.max_payload:
                self.oversize += 1
                self._skip = length
                pos = body
                continue
            if end - body < length:
                break
            pos = body + length
            payload = data[body:pos]
            if crc32(payload) == crc:
                frames.append(Frame(kind, flags, session, ident, status, payload))
            else:
                self.crc_errors += 1
        self._tail = data[pos:]
        return frames

    def _next_magic(self, data: bytes, pos: int) -> int:
        """Return the next position that may start a frame; skipping to it drops single bytes."""
        if not self._lost_sync:
            self._lost_sync = True
            self.resyncs += 1
        found = data.find(_MAGIC_BYTES, pos + 1)
        if found < 0:
            # The last three bytes may be the beginning of a magic.
            found = max(pos + 1, len(data) - len(_MAGIC_BYTES) + 1)
        self.discarded += found - pos
        return found
