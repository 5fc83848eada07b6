# SPDX-License-Identifier: MIT
"""A second provider, whose frames an actor writes to the provider device: it needs no port."""

from __future__ import annotations

import os

from harness.guest.actor import Actor
from harness.guest.agent import decoded, encoded
from tsmw.constants import PROVIDER_DEVICE, REPLY, FrameType
from tsmw.frame import Frame, FrameParser, encode_frame
from tsmw.hello import HostHello, decode_guest_hello, encode_host_hello
from tsmw.layout import decode_u32
from tsmw.ops import Op, OpResult

__all__ = ["RawProvider"]

_SESSION = 0x5EC0
_ALL_ATTRIBUTES = 0xFFFF_FFFF
_READ_BYTES = 4096


class RawProvider:
    """One more open of the provider device, which makes one more provider instance.

    As a context manager it closes the device, which ends the instance. Methods raise the guest's
    :class:`OSError`, and :class:`GuestLostError` when the driver breaks the protocol.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._fd = self._run(Op.open(PROVIDER_DEVICE, os.O_RDWR), "open").ret
        self._parser = FrameParser()

    def __enter__(self) -> RawProvider:
        return self

    def __exit__(self, *_: object) -> None:
        self._run(Op.close(self._fd), "close")

    def register(self, name: str) -> int:
        """Reply to the driver's HELLO as provider ``name``; the errno of the registration, or 0."""
        request = self._read_frame(FrameType.HELLO)
        nonce = decoded(decode_guest_hello, request.payload, "the provider driver").nonce
        offer = HostHello(nonce, name, 0, _ALL_ATTRIBUTES, _ALL_ATTRIBUTES, 1)
        hello = encoded(lambda: encode_host_hello(offer), f"HELLO of provider {name!r}")
        reply = Frame(FrameType.HELLO | REPLY, 0, _SESSION, request.id, 0, hello)
        self._run(Op.write(encode_frame(reply), self._fd), "write")
        return decoded(
            lambda payload: decode_u32("REGISTERED", payload),
            self._read_frame(FrameType.REGISTERED).payload,
            "the provider driver",
        )

    def _read_frame(self, kind: FrameType) -> Frame:
        while True:
            data = self._run(Op.read(_READ_BYTES, self._fd), "read").data
            for frame in self._parser.feed(data):
                if frame.type == kind:
                    return frame

    def _run(self, op: Op, verb: str) -> OpResult:
        return self._actor.run(op, f"{verb} of {PROVIDER_DEVICE}")
