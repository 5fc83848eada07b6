# SPDX-License-Identifier: MIT
"""TSMW frames: a 32-byte little-endian header, then the payload.

Header: magic u32, version u8, type u8, flags u16, session u32, id u32, payload length u32,
status u32, CRC-32 of the payload, CRC-32 of the 28 bytes before. CRC-32 is zlib's. It is no
security measure: it turns garbage on the stream into a certain resynchronisation.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import NamedTuple
from zlib import crc32

from tsmw.constants import MAGIC, MAX_PAYLOAD, VERSION
from tsmw.errors import WireError

__all__ = ["HEAD", "HEADER_SIZE", "Frame", "FrameParser", "encode_frame"]

HEAD = Struct("<IBBHIIIII")
"""The header without its last field, the CRC of everything in here."""
HEADER_SIZE = HEAD.size + 4

_MAGIC_BYTES = MAGIC.to_bytes(4, "little")


class Frame(NamedTuple):
    """One frame; a named tuple because building one is on the path of every round trip."""

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
    try:
        head = HEAD.pack(
            MAGIC, VERSION, kind, flags, session, ident, len(payload), status, crc32(payload)
        )
    except StructError as error:
        raise WireError(f"{frame!r} does not fit the header's fields: {error}") from None
    return head + crc32(head).to_bytes(4, "little") + payload


class FrameParser:
    """Turns a byte stream, cut anywhere and possibly damaged, into frames.

    A wrong magic, version or header CRC drops one byte and tries again. A payload longer than
    ``max_payload`` is skipped to its last byte. A payload with a wrong CRC is dropped. It never
    holds more than one header and ``max_payload`` bytes between calls.

    Counters: ``resyncs`` (how often synchronisation was lost), ``discarded`` (bytes dropped
    while looking for it), ``crc_errors`` (payloads dropped), ``oversize`` (payloads skipped).
    """

    __slots__ = (
        "_hunting",
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
        self._hunting = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes of the stream; return the frames they complete, in order."""
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
            magic, version, kind, flags, session, ident, length, status, crc = HEAD.unpack(head)
            body = pos + HEADER_SIZE
            if (
                magic != MAGIC
                or version != VERSION
                or crc32(head) != int.from_bytes(data[body - 4 : body], "little")
            ):
                pos = self._lose_sync(data, pos)
                continue
            self._hunting = False
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

    def _lose_sync(self, data: bytes, pos: int) -> int:
        """Where to try next: as if one byte after another were dropped, but in one search."""
        if not self._hunting:
            self._hunting = True
            self.resyncs += 1
        found = data.find(_MAGIC_BYTES, pos + 1)
        if found < 0:
            # The last three bytes may be the beginning of a magic.
            found = max(pos + 1, len(data) - len(_MAGIC_BYTES) + 1)
        self.discarded += found - pos
        return found
