# SPDX-License-Identifier: MIT
"""The provider driver tsm-sim in a guest, for tests: with a provider, or with raw frames."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from zlib import crc32

import pytest

from harness.guest.call import Call, checked
from harness.guest.guest import Guest
from harness.interface.find import find_interface
from harness.interface.report import Report
from harness.session import Session
from harness.settings import DEFAULT_PROVIDER
from providers_sim import ProviderLoop
from tests.conftest import Clone
from tsmw.constants import (
    MAGIC,
    MAX_IN_FLIGHT,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    FrameFlag,
    FrameType,
    ReplyFlag,
    Status,
)
from tsmw.frame import HEAD, Frame, FrameParser, encode_frame
from tsmw.hello import HostHello, decode_guest_hello, encode_host_hello
from tsmw.ops import Op, OpResult
from tsmw.report import REPORT_REPLY

IMPLEMENTATIONS = ("mainline", "class-fixed", "class-posted")
CORRECT = ("mainline", "class-fixed")
"""Those that check what report_new returns, and survive its failure after a success."""

SECONDS = 20.0
NONCE = b"n" * 64
NEXT_NONCE = b"m" * 64
OUTBLOB_MAX = 32768  # of every implementation up to Linux 6.19
RAW_SESSION = 0x7E57
ALL_BITS = 0xFFFF_FFFF
BLOBS = (bytes(range(256)) * 4, b"aux" * 101, b"manifest" * 17)
"""The blobs of :func:`whole_reply`."""

_COUNTERS = (
    "frames_in", "frames_out", "resyncs", "stale", "duplicates", "crc_errors", "oversize",
    "timeouts", "cancelled", "dropped", "in_flight",
)  # fmt: skip
_DRIVER = "/sys/class/misc/tsm_sim"
_CLASS_DEVICE = "/sys/class/tsm/tsm0"
_REPORTS = "/sys/kernel/config/tsm/report"
_PAGE = 4096


def wait_until(guest: Guest, condition: Callable[[], object], what: str) -> None:
    """Poll ``condition``, with a round trip to the guest after each attempt."""
    deadline = guest.timeouts.deadline(SECONDS, what)
    while not condition():
        guest.session.ping()
        deadline.remaining()


def read_counters(guest: Guest) -> dict[str, int]:
    """All counters of the driver."""
    ops: list[Op] = []
    for name in _COUNTERS:
        ops += [Op.open(f"{_DRIVER}/{name}"), Op.read(_PAGE), Op.close()]

    def decode(results: Sequence[OpResult]) -> dict[str, int]:
        texts = [result.data for result in checked(results, _DRIVER)[1::3]]
        return {name: int(text) for name, text in zip(_COUNTERS, texts, strict=True)}

    return guest.actors[0].start(ops, decode, "the driver's counters").result()


def wait_until_closed(guest: Guest) -> None:
    """Wait until the relay has closed the device, after its host closed the port.

    An open device is the only use of the module.
    """
    count = "/sys/module/tsm_sim/refcnt"
    wait_until(guest, lambda: guest.actors[0].read_file(count) == b"0\n", "the close of the device")


def start_read(guest: Guest, actor: int, report: Report) -> Call[bytes]:
    """Start to read the outblob to its end, one page per read: sysfs returns no more."""
    path = report.outblob.path
    pages = OUTBLOB_MAX // _PAGE + 1

    def decode(results: Sequence[OpResult]) -> bytes:
        data = [result.data for result in checked(results, path)[1:-1]]
        assert not data[-1], f"{path} has more data"
        return b"".join(data)

    ops = [Op.open(path), *(Op.read(_PAGE) for _ in range(pages)), Op.close()]
    return guest.actors[actor].start(ops, decode, f"read of {path}")


@dataclass
class Driver:
    """The driver in a guest, with a provider attached, and a report whose nonce is written."""

    guest: Guest
    attach: Callable[[], ProviderLoop]
    provider: ProviderLoop
    report: Report
    before: dict[str, int]

    def start_read(self, actor: int = 1) -> Call[bytes]:
        """Start to read the outblob."""
        return start_read(self.guest, actor, self.report)

    def counters(self) -> dict[str, int]:
        """The driver's counters."""
        return read_counters(self.guest)

    def changed_counters(self) -> dict[str, int]:
        """The counters that changed since ``before``, with the difference."""
        now = self.counters()
        return {
            name: now[name] - self.before[name] for name in now if now[name] != self.before[name]
        }

    def assert_works(self) -> None:
        """Check that the next report is complete, no request is left and the log is clean."""
        self.report.write_inblob(NEXT_NONCE)
        data = self.report.read_outblob()
        assert NEXT_NONCE in data
        assert data == self.provider.issued[-1].evidence.outblob
        assert self.provider.in_flight == self.counters()["in_flight"] == 0
        self.provider.raise_if_failed()
        self.guest.log.assert_clean()

    def is_unregistered(self) -> bool:
        """Whether the implementation has no provider."""
        actor = self.guest.actors[0]
        if self.report.entry == "tsm0":
            return not actor.exists(_CLASS_DEVICE)
        try:
            actor.mkdir(f"{_REPORTS}/probe")
        except OSError as error:
            assert error.errno == errno.ENXIO
            return True
        actor.rmdir(f"{_REPORTS}/probe")
        return False

    def remove_entry(self) -> None:
        """Remove the configfs entry, because no provider can register while one exists."""
        if self.report.entry != "tsm0":
            self.guest.actors[0].rmdir(f"{_REPORTS}/{self.report.entry}")

    def make_report(self) -> None:
        """Make a new report of the provider that is registered now."""
        self.report = find_interface(self.guest).report()


StartDriver = Callable[..., Driver]


@pytest.fixture
def start_driver(session: Session, clone: Clone) -> StartDriver:
    """Clones a guest with an implementation, and attaches a provider."""

    def make(tsm: str, timeout_ms: int | None = None) -> Driver:
        guest = clone(tsm)

        def attach() -> ProviderLoop:
            guest.detach()
            guest.provider = ProviderLoop(
                session.provider(DEFAULT_PROVIDER, 0),
                guest.machine.connect("provider"),
                time_scale=guest.timeouts.scale,
                request_timeout_ms=timeout_ms and round(guest.timeouts.scaled(timeout_ms)),
            )
            return guest.provider

        provider = attach()
        assert provider.wait_registered() == 0
        report = find_interface(guest).report()
        report.write_inblob(NONCE)
        return Driver(guest, attach, provider, report, read_counters(guest))

    return make


class RawHost:
    """A connection to the provider port of ``guest``, for arbitrary frames and bytes."""

    def __init__(self, guest: Guest) -> None:
        self._timeouts = guest.timeouts
        self._sock = guest.machine.connect("provider")
        self._parser = FrameParser()
        self._frames: deque[Frame] = deque()

    def send(self, data: bytes) -> None:
        """Send ``data``; fails the test when the guest does not read it."""
        self._sock.settimeout(self._timeouts.scaled(SECONDS))
        self._sock.sendall(data)

    def expect(self, kind: int) -> Frame:
        """Receive the next frame of this type; drop the frames before it."""
        deadline = self._timeouts.deadline(SECONDS, f"a frame of type {kind:#x}")
        while True:
            while self._frames:
                frame = self._frames.popleft()
                if frame.type == kind:
                    return frame
            self._sock.settimeout(deadline.remaining())
            data = self._sock.recv(MAX_PAYLOAD)
            assert data, "the guest closed its provider port"
            self._frames.extend(self._parser.feed(data))

    def register(self, max_in_flight: int = MAX_IN_FLIGHT) -> int:
        """Reply to HELLO as a provider that shows all files; the errno of the registration."""
        request = self.expect(FrameType.HELLO)
        nonce = decode_guest_hello(request.payload).nonce
        hello = HostHello(nonce, "raw", 0, ALL_BITS, ALL_BITS, max_in_flight)
        self.send(hello_reply(request.id, encode_host_hello(hello)))
        return self.registered()

    def registered(self) -> int:
        """Receive the errno of a registration."""
        return int.from_bytes(self.expect(FrameType.REGISTERED).payload, "little")

    def close(self) -> None:
        """Close the port."""
        self._sock.close()


Connect = Callable[[Guest], RawHost]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects hosts, and closes their connections at the end of the test."""
    with ExitStack() as stack:

        def make(guest: Guest) -> RawHost:
            host = RawHost(guest)
            stack.callback(host.close)
            return host

        yield make


def hello_reply(
    ident: int, payload: bytes, *, status: Status = Status.OK, session: int = RAW_SESSION
) -> bytes:
    """Encode a reply to HELLO."""
    return encode_frame(Frame(FrameType.HELLO | REPLY, 0, session, ident, status, payload))


def report_reply(ident: int, payload: bytes = b"", *, flags: int = 0, status: int = 0) -> bytes:
    """Encode one frame of a reply to REPORT."""
    return encode_frame(Frame(FrameType.REPORT | REPLY, flags, RAW_SESSION, ident, status, payload))


def reply_lengths(*lengths: int, flags: int = ReplyFlag.VMALLOC) -> bytes:
    """Encode the start of a reply. With vmalloc, /proc/vmallocinfo shows a blob that leaks."""
    return REPORT_REPLY.pack(*lengths, flags)


def whole_reply(ident: int) -> bytes:
    """Encode a reply of one frame, with :data:`BLOBS`."""
    return report_reply(ident, reply_lengths(*map(len, BLOBS), flags=0) + b"".join(BLOBS))


def first_frame(ident: int) -> bytes:
    """Encode the first frame of a reply; 5200 bytes of its blobs are missing."""
    return report_reply(ident, reply_lengths(5000, 300, 0) + b"b" * 100, flags=FrameFlag.MORE)


def oversized_frame(ident: int) -> bytes:
    """Encode a frame whose payload is one byte too long."""
    payload = bytes(MAX_PAYLOAD + 1)
    kind, length, crc = FrameType.REPORT | REPLY, len(payload), crc32(payload)
    head = HEAD.pack(MAGIC, VERSION, kind, 0, RAW_SESSION, ident, length, 0, crc)
    return head + crc32(head).to_bytes(4, "little") + payload


def signed(value: int) -> bytes:
    """Encode a signed 32-bit integer."""
    return value.to_bytes(4, "little", signed=True)


@dataclass
class RawDriver:
    """The driver in a guest, whose host is the test."""

    guest: Guest
    host: RawHost
    report: Report

    def start_read(self, actor: int = 1) -> tuple[Call[bytes], int]:
        """Start to read the outblob; the call and the id of its request."""
        call = start_read(self.guest, actor, self.report)
        return call, self.host.expect(FrameType.REPORT).id

    def count_vmalloc_areas(self) -> int:
        """Count the vmalloc areas that the driver allocated."""
        text, actor = b"", self.guest.actors[0]
        path = "/proc/vmallocinfo"
        while True:
            ops = [Op.open(path), Op.pread(16384, len(text)), Op.close()]
            part = actor.start(ops, lambda got: got[1].data, path).result()
            if not part:
                return text.count(b"[tsm_sim]")
            text += part


StartRawDriver = Callable[[str], RawDriver]


@pytest.fixture
def start_raw(clone: Clone, connect: Connect) -> StartRawDriver:
    """Clones a guest with an implementation; the test is the host and has registered."""

    def make(tsm: str) -> RawDriver:
        guest = clone(tsm)
        host = connect(guest)
        assert host.register() == 0
        report = find_interface(guest).report()
        report.write_inblob(NONCE)
        return RawDriver(guest, host, report)

    return make
