# SPDX-License-Identifier: MIT
"""A fake guest on a socket pair with a provider loop, and a provider that echoes requests."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from providers_sim import (
    AnyProvider,
    Evidence,
    Options,
    Provider,
    ProviderLoop,
    ProviderRefusal,
    ReportRequest,
)
from providers_sim.provider import State
from tsmw.constants import VERSION, FrameFlag, FrameType, Status
from tsmw.frame import Frame, FrameParser, encode_frame
from tsmw.hello import GuestHello, HostHello, decode_host_hello, encode_guest_hello
from tsmw.report import decode_report_reply, encode_report_request

SECONDS = 5.0
NONCE = 0x1122334455667788
API = 3  # the driver's number of Linux 6.11
REPORT_REPLY_TYPE = FrameType.REPORT | 0x80


class EchoProvider(Provider[Options]):
    """Makes evidence of the inblob and a counter; the inblobs ``refuse`` and ``break`` fail."""

    id: ClassVar[str] = "echo"
    kernel_name: ClassVar[str] = "echo_guest"
    options_type = Options
    attrs = 0xF
    bin_attrs = 0x7
    privlevel_floor = 1

    def prepare(self) -> None:
        pass

    def reset(self) -> None:
        self.reports = 0

    def report(self, request: ReportRequest) -> Evidence:
        if request.inblob == b"refuse":
            raise ProviderRefusal(Status.THROTTLED, "throttled", value=250)
        if request.inblob == b"break":
            raise ZeroDivisionError("an error of the provider")
        self.reports += 1
        return Evidence(request.inblob + b"#%d" % self.reports, b"aux", b"manifest")

    def live_state(self) -> State:
        return {"reports": self.reports}

    def restore_live(self, state: Mapping[str, Any]) -> None:
        self.reports = int(state["reports"])

    def collateral(self) -> dict[str, bytes]:
        return {}


class FakeGuest:
    """The driver's end of the provider port."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        self.sock = sock
        self.parser = FrameParser()
        self.frames: list[Frame] = []
        self.session = 0

    def send(self, kind: int, ident: int = 0, payload: bytes = b"") -> None:
        """Send one frame in the current session."""
        self.sock.sendall(encode_frame(Frame(kind, 0, self.session, ident, 0, payload)))

    def receive(self) -> Frame:
        """Receive the next frame; EOFError when the host has closed the port."""
        while not self.frames:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.frames = self.parser.feed(data)
        return self.frames.pop(0)

    def open_session(self, max_payload: int = 65536) -> HostHello:
        """Send HELLO, and use the session of the reply from now on."""
        self.session = 0
        hello = GuestHello(NONCE, VERSION, VERSION, API, max_payload, 32769, 16)
        self.send(FrameType.HELLO, 1, encode_guest_hello(hello))
        reply = self.receive()
        assert (reply.type, reply.id) == (FrameType.HELLO | 0x80, 1)
        self.session = reply.session
        return decode_host_hello(reply.payload)

    def send_report(self, ident: int, inblob: bytes = b"nonce") -> None:
        """Send a REPORT request."""
        self.send(
            FrameType.REPORT, ident, encode_report_request(ReportRequest(id=ident, inblob=inblob))
        )

    def cancel(self, ident: int) -> None:
        """Cancel a request."""
        self.send(FrameType.CANCEL, 0, ident.to_bytes(4, "little"))

    def ping(self) -> None:
        """Wait until the host has handled all earlier frames; assert that it sends nothing else."""
        self.send(FrameType.PING, 9999, b"ping")
        assert self.receive() == Frame(FrameType.PING | 0x80, 0, self.session, 9999, 0, b"ping")

    def receive_report(self) -> tuple[int, Evidence, int]:
        """Receive every frame of a successful reply; return its id, evidence and flags."""
        frames = [self.receive()]
        while frames[-1].flags & FrameFlag.MORE:
            frames.append(self.receive())
        assert {(f.type, f.id, f.status) for f in frames} == {
            (REPORT_REPLY_TYPE, frames[0].id, Status.OK)
        }
        evidence, flags = decode_report_reply(b"".join(f.payload for f in frames))
        return frames[0].id, evidence, flags


class Rig:
    """A provider loop, connected to a fake guest."""

    def __init__(self, provider: AnyProvider | None = None) -> None:
        ours, theirs = socket.socketpair()
        self.guest = FakeGuest(theirs)
        self.loop = ProviderLoop(provider or EchoProvider(), ours, request_timeout_ms=1500)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.close()
        self.guest.sock.close()
