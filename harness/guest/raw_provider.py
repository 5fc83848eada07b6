# SPDX-License-Identifier: MIT
"""A second provider, spoken by an actor straight to the provider device, without a port."""

from __future__ import annotations

import os

from harness.errors import GuestLostError
from harness.guest.actor import Actor
from harness.guest.call import checked
from tsmw.constants import PROVIDER_DEVICE, REPLY, FrameType
from tsmw.errors import WireError
from tsmw.frame import Frame, FrameParser, encode_frame
from tsmw.hello import HostHello, decode_guest_hello, encode_host_hello
from tsmw.ops import Op

__all__ = ["RawProvider"]

_SESSION = 0x5EC0
_ALL_ATTRIBUTES = 0xFFFF_FFFF
_READ = 4096


class RawProvider:
    """One more open of the provider device, which is one more provider instance.

    As a context manager it closes the device at the end, which ends the instance. Methods raise
    the guest's :class:`OSError`, and :class:`GuestLostError` when the driver breaks protocol.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        what = f"open of {PROVIDER_DEVICE}"
        opened = [Op.open(PROVIDER_DEVICE, os.O_RDWR)]
        self._fd = actor.start(opened, lambda got: checked(got, what)[0].ret, what).result()
        self._parser = FrameParser()

    def __enter__(self) -> RawProvider:
        return self

    def __exit__(self, *_: object) -> None:
        what = f"close of {PROVIDER_DEVICE}"
        self._actor.start([Op.close(self._fd)], lambda got: checked(got, what), what).result()

    def register(self, name: str) -> int:
        """Answer the driver's greeting as provider ``name``; the errno the core gave, 0 if none."""
        greeting = self._next(FrameType.HELLO)
        try:
            nonce = decode_guest_hello(greeting.payload).nonce
        except WireError as error:
            raise GuestLostError(f"the provider driver broke the protocol: {error}") from error
        hello = HostHello(nonce, name, 0, _ALL_ATTRIBUTES, _ALL_ATTRIBUTES, 1)
        reply = Frame(
            FrameType.HELLO | REPLY, 0, _SESSION, greeting.id, 0, encode_host_hello(hello)
        )
        what = f"write to {PROVIDER_DEVICE}"
        written = [Op.write(encode_frame(reply), self._fd)]
        self._actor.start(written, lambda got: checked(got, what), what).result()
        return int.from_bytes(self._next(FrameType.REGISTERED).payload[:4], "little")

    def _next(self, kind: FrameType) -> Frame:
        what = f"read of {PROVIDER_DEVICE}"
        while True:
            ops = [Op.read(_READ, self._fd)]
            data = self._actor.start(ops, lambda got: checked(got, what)[0].data, what).result()
            for frame in self._parser.feed(data):
                if frame.type == kind:
                    return frame
