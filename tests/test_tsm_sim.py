# SPDX-License-Identifier: MIT
"""The provider driver in real guests: whatever a host does, readers get an answer and no harm.

And compiled for every interface of a core that there is, from one source.
"""

from __future__ import annotations

import errno
import random
import re
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import pytest

from harness.errors import ActorDiedError
from harness.guest.call import Call, checked
from harness.guest.guest import Guest
from harness.interface.find import find_interface
from harness.interface.report import Report
from harness.session import Session
from harness.settings import DEFAULT_PROVIDER
from providers_sim import Fault, ProviderLoop
from providers_sim.faults import Corruption
from tsmw.constants import (
    MAGIC,
    MAX_IN_FLIGHT,
    MAX_PAYLOAD,
    MAX_REQUEST,
    MAX_TLVS,
    OPTIONAL_TLV,
    REPLY,
    VERSION,
    FrameFlag,
    FrameType,
    HelloTag,
    ReplyFlag,
    Status,
)
from tsmw.frame import HEAD, Frame, FrameParser, encode_frame
from tsmw.hello import HOST_HELLO, HostHello, decode_guest_hello, encode_host_hello
from tsmw.ops import Op, OpResult
from tsmw.report import REPORT_REPLY
from tsmw.tlv import encode_tlvs

CORES = ("mainline", "class-fixed", "class-posted")
# As posted, the core neither checks what it is given nor survives a failure that follows a
# success: both are its own defects.
SOUND = ("mainline", "class-fixed")

_COUNTERS = (
    "frames_in", "frames_out", "resyncs", "stale", "duplicates", "crc_errors", "oversize",
    "timeouts", "cancelled", "dropped", "in_flight",
)  # fmt: skip
_DRIVER = "/sys/class/misc/tsm_sim"
_CLASS_DEVICE = "/sys/class/tsm/tsm0"
_REPORTS = "/sys/kernel/config/tsm/report"
_NONCE = b"n" * 64
_NEXT_NONCE = b"m" * 64
_SECONDS = 20.0
_OUTBLOB_MAX = 32768  # of every core up to 6.19
_PAGE = 4096
_TIMEOUT_MS = 600  # long enough for an answer that is on its way


def _until(guest: Guest, condition: Callable[[], object], what: str) -> None:
    """Wait for what only asking can tell; each look is a round trip to the guest."""
    deadline = guest.timeouts.deadline(_SECONDS, what)
    while not condition():
        guest.session.ping()
        deadline.remaining()


def _counters(guest: Guest) -> dict[str, int]:
    """Every counter of the driver."""
    ops: list[Op] = []
    for name in _COUNTERS:
        ops += [Op.open(f"{_DRIVER}/{name}"), Op.read(_PAGE), Op.close()]

    def decode(results: Sequence[OpResult]) -> dict[str, int]:
        texts = [result.data for result in checked(results, _DRIVER)[1::3]]
        return {name: int(text) for name, text in zip(_COUNTERS, texts, strict=True)}

    return guest.actors[0].start(ops, decode, "the driver's counters").result()


def _wait_until_closed(guest: Guest) -> None:
    """Until the relay has seen its host leave: an open device is what the driver is in use for."""
    count = "/sys/module/tsm_sim/refcnt"
    _until(guest, lambda: guest.actors[0].read_file(count) == b"0\n", "the device's close")


def _start_read(guest: Guest, actor: int, report: Report) -> Call[bytes]:
    """Start to read the outblob to its end, one page per read: sysfs returns no more."""
    path = report.outblob.path
    pages = _OUTBLOB_MAX // _PAGE + 1

    def decode(results: Sequence[OpResult]) -> bytes:
        data = [result.data for result in checked(results, path)[1:-1]]
        assert not data[-1], f"{path} goes on"
        return b"".join(data)

    ops = [Op.open(path), *(Op.read(_PAGE) for _ in range(pages)), Op.close()]
    return guest.actors[actor].start(ops, decode, f"read of {path}")


@dataclass
class Stage:
    """A guest, a provider attached to it, and a report with a nonce."""

    guest: Guest
    attach: Callable[[], ProviderLoop]
    provider: ProviderLoop
    report: Report
    before: dict[str, int]

    def start_read(self, actor: int = 1) -> Call[bytes]:
        """Start to read the outblob."""
        return _start_read(self.guest, actor, self.report)

    def counters(self) -> dict[str, int]:
        """The driver's counters."""
        return _counters(self.guest)

    def moved(self) -> dict[str, int]:
        """The counters that changed since the stage was set, and by how much."""
        now = self.counters()
        return {
            name: now[name] - self.before[name] for name in now if now[name] != self.before[name]
        }

    def works(self) -> None:
        """The next report is whole and for its nonce; nothing is left over, no word of harm."""
        self.report.write_inblob(_NEXT_NONCE)
        data = self.report.read_outblob()
        assert _NEXT_NONCE in data
        assert data == self.provider.issued[-1].evidence.outblob
        assert self.provider.in_flight == self.counters()["in_flight"] == 0
        self.provider.raise_if_failed()
        self.guest.log.assert_clean()

    def interface_is_gone(self) -> bool:
        """Whether the core offers no reports any more."""
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
        """As long as an entry is there, configfs takes no new provider."""
        if self.report.entry != "tsm0":
            self.guest.actors[0].rmdir(f"{_REPORTS}/{self.report.entry}")

    def begin_again(self) -> None:
        """A new report of the provider that is registered now."""
        self.report = find_interface(self.guest).report()


Clone = Callable[[str], Guest]
Attach = Callable[[Guest], ProviderLoop]
SetStage = Callable[..., Stage]


@pytest.fixture
def stage(session: Session, clone: Clone) -> SetStage:
    """Sets a stage on a pristine guest with the core ``tsm``."""

    def make(tsm: str, timeout_ms: int | None = None) -> Stage:
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
        report.write_inblob(_NONCE)
        return Stage(guest, attach, provider, report, _counters(guest))

    return make


# Several requests in flight. Only a core that lets two readers into the provider has them.


def _readers_in_provider(it: Stage, arrived: Callable[[int], object]) -> list[Call[bytes]]:
    calls = []
    for number in (1, 2, 3):
        calls.append(it.start_read(number))
        arrived(number)
    return calls


def test_each_answer_finds_its_reader_whatever_the_order(stage: SetStage) -> None:
    it = stage("class-posted")
    for missing in (16, 32, 48):  # so that each reader's report is known by its length
        it.provider.faults.truncated(missing)
    with it.provider.hold() as gate:
        calls = _readers_in_provider(it, gate.wait_for_request)
        assert (gate.arrived, it.provider.max_in_flight_seen) == (3, 3)
        assert it.counters()["in_flight"] == 3
        answers = []
        for call in reversed(calls):
            assert gate.release(1, reverse=True) == 1
            answers.append(call.result())
    assert answers == [one.evidence.outblob for one in it.provider.issued]
    assert [len(answer) for answer in answers] == [1184 - 48, 1184 - 32, 1184 - 16]
    assert it.moved() == {"frames_in": 3, "frames_out": 3}
    it.guest.log.assert_clean()


def test_answers_in_one_burst_in_reverse_order(stage: SetStage) -> None:
    it = stage("class-posted")
    it.provider.faults.duplicate(3)
    with it.provider.hold() as gate:
        calls = _readers_in_provider(it, gate.wait_for_request)
        assert gate.release(reverse=True) == 3
        # The next page is of a later report, or refused: that is the core's business.
        answers = [call.results()[1].data for call in calls]
    issued = [one.evidence.outblob for one in it.provider.issued]
    assert len(issued) == 3
    assert all(answer in issued for answer in answers)
    assert (it.provider.max_in_flight_seen, it.provider.in_flight) == (3, 0)
    _until(it.guest, lambda: it.counters()["duplicates"] == 3, "the second answers")
    assert it.moved() == {"frames_in": 6, "frames_out": 3, "duplicates": 3}
    it.guest.log.assert_clean()


def test_one_of_several_readers_is_killed(stage: SetStage) -> None:
    it = stage("class-posted")
    with it.provider.hold() as gate:
        first, second, third = _readers_in_provider(it, gate.wait_for_request)
        second.actor.kill()
        assert second.actor.wait_until_dead() == signal.SIGKILL
        it.provider.wait_cancelled(1)
        assert it.moved() == {"frames_out": 4, "cancelled": 1, "in_flight": 2}
        assert gate.release(reverse=True) == 2
        issued = {call.results()[1].data for call in (first, third)}
    assert issued == {one.evidence.outblob for one in it.provider.issued}
    assert it.moved() == {"frames_in": 2, "frames_out": 4, "cancelled": 1}
    it.guest.log.assert_clean()


def test_host_may_allow_fewer_in_flight(clone: Clone, connect: Connect) -> None:
    guest = clone("class-posted")
    host = connect(guest)
    assert host.register(max_in_flight=1) == 0
    report = find_interface(guest).report()
    report.write_inblob(_NONCE)
    first = _start_read(guest, 1, report)
    ident = host.expect(FrameType.REPORT).id
    assert _start_read(guest, 2, report).error() == errno.EBUSY
    host.send(_whole(ident))
    assert first.result() == _BLOBS[0]
    assert _counters(guest)["in_flight"] == 0
    guest.log.assert_clean()


# What is wrong with one answer: the errno is the one of requests.c and reply.c.


@dataclass(frozen=True)
class Wrong:
    """A fault of one answer, what the reader gets, and which counters it moves."""

    fault: Fault
    errno: int
    moved: dict[str, int]
    size: int = 0


WRONG = {
    "payload": Wrong(Fault(corrupt=Corruption.PAYLOAD), errno.EBADMSG, {"crc_errors": 1}),
    "lengths": Wrong(Fault(corrupt=Corruption.LENGTHS), errno.EBADMSG, {"frames_in": 1}),
    "garbage": Wrong(
        Fault(corrupt=Corruption.GARBAGE), 0, {"frames_in": 1, "resyncs": 1}, size=1184
    ),
    "duplicate": Wrong(Fault(duplicate=True), 0, {"frames_in": 2, "duplicates": 1}, size=1184),
    "refused twice": Wrong(
        Fault(status=Status.IO, duplicate=True), errno.EIO, {"frames_in": 2, "duplicates": 1}
    ),
    "truncated": Wrong(Fault(truncated=184), 0, {"frames_in": 1}, size=1000),
    "empty": Wrong(Fault(empty=True), 0, {"frames_in": 1}, size=0),
    "vmalloc": Wrong(Fault(vmalloc=True), 0, {"frames_in": 1}, size=1184),
    "most a core takes": Wrong(
        Fault(oversize=_OUTBLOB_MAX, no_auxblob=True), 0, {"frames_in": 1}, size=_OUTBLOB_MAX
    ),
    "too long for the core": Wrong(
        Fault(oversize=_OUTBLOB_MAX + 1, no_auxblob=True), errno.EFBIG, {"frames_in": 1}
    ),
    # The first frame tells; the others of the same answer have nobody to go to any more.
    "too long for the driver": Wrong(
        Fault(oversize=4 << 20), errno.EMSGSIZE, {"frames_in": 65, "stale": 64}
    ),
}


@pytest.mark.parametrize("tsm", SOUND)
def test_wrong_answer_is_told_and_forgotten(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    for name, wrong in WRONG.items():
        it.report.write_inblob(_NONCE)
        it.before = it.counters()
        it.provider.fault(wrong.fault)
        call = it.start_read()
        assert call.error() == wrong.errno, name
        if not wrong.errno:
            assert call.result() == it.provider.issued[-1].evidence.outblob, name
            assert len(call.result()) == wrong.size, name
        it.works()
        # The next report's two frames are in the sum.
        expected = {"frames_in": 0} | wrong.moved | {"frames_out": 2}
        expected["frames_in"] += 1
        assert it.moved() == expected, name
    assert it.provider.requests == 2 * len(WRONG)


@pytest.mark.parametrize("tsm", SOUND)
def test_longest_answer_the_driver_takes(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    announced = re.search(r"max_total=(\d+)", it.provider.transcript.items()[0].summary)
    assert announced is not None
    limit = int(announced[1])
    for total, expected in ((limit, errno.EFBIG), (limit + 1, errno.EMSGSIZE)):
        it.report.write_inblob(_NONCE)  # mainline remembers that a report was too long
        it.provider.fault(Fault(oversize=total, no_auxblob=True))
        assert it.start_read().error() == expected
    assert it.provider.requests == 2
    it.works()


@pytest.mark.parametrize("tsm", SOUND)
def test_no_answer_in_time(stage: SetStage, tsm: str) -> None:
    it = stage(tsm, _TIMEOUT_MS)
    it.provider.faults.silent().corrupt("header").add(Fault(late=True, duplicate=True))
    for _ in range(3):
        assert it.start_read().error() == errno.ETIMEDOUT
        assert it.counters()["in_flight"] == 0
    it.works()
    assert it.provider.cancelled == 2  # for the host, the damaged answer was one
    assert it.moved() == {
        "frames_in": 3,  # two late ones, and the next report's
        "frames_out": 7,  # four requests, three cancellations
        "timeouts": 3,
        "resyncs": 1,
        "stale": 2,
    }


INJECTED = (
    errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOMEM, errno.EINTR,
    errno.ENXIO, errno.EBADMSG, 524, 4095,
)  # fmt: skip


@pytest.mark.parametrize("tsm", CORES)
def test_injected_errno_reaches_the_reader(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    for number in INJECTED:
        it.provider.fail_next(number)
    assert [it.start_read().error() for _ in INJECTED] == list(INJECTED)
    it.works()
    assert it.moved() == {"frames_in": len(INJECTED) + 1, "frames_out": len(INJECTED) + 1}


REFUSED = {
    Status.BUSY: errno.EBUSY,
    Status.INVALID: errno.EINVAL,
    Status.UNSUPPORTED: errno.EOPNOTSUPP,
    Status.NO_DEVICE: errno.ENXIO,
    Status.IO: errno.EIO,
    Status.TOO_BIG: errno.EFBIG,
    Status.NO_KEY: errno.ENOTTY,
    Status.BAD_MESSAGE: errno.EBADMSG,
    Status.TIMEOUT: errno.ETIMEDOUT,
    Status.INTERNAL: errno.EPROTO,
}


def test_every_refusal_is_tried() -> None:
    assert set(Status) - set(REFUSED) == {Status.OK, Status.THROTTLED, Status.INJECT}


@pytest.mark.parametrize("tsm", CORES)
def test_refusal_is_an_errno(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    for status in REFUSED:
        it.provider.faults.refuse(status)
    assert [it.start_read().error() for _ in REFUSED] == list(REFUSED.values())
    it.works()


@pytest.mark.parametrize("tsm", CORES)
def test_throttled_request_is_repeated(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    it.provider.faults.refuse(Status.THROTTLED, 3_600_000)
    assert it.start_read().error() == errno.ETIMEDOUT  # at once: the host will not be asked in time
    assert it.provider.requests == 1
    it.provider.faults.refuse(Status.THROTTLED, 1, times=3)
    assert it.start_read().result() == it.provider.issued[-1].evidence.outblob
    assert it.provider.requests == 5
    assert it.moved() == {"frames_in": 5, "frames_out": 5}
    it.works()


@pytest.mark.parametrize("end", ["killed", "host gone"])
def test_throttled_reader_does_not_wait_for_its_turn(stage: SetStage, end: str) -> None:
    it = stage("mainline")
    it.provider.faults.refuse(Status.THROTTLED, 25_000)  # below the 30 s of the whole request
    call = it.start_read()
    it.provider.wait_requests(1)
    _until(it.guest, lambda: it.moved().get("frames_in"), "the refusal")
    call.wait_until_blocked("report_new")
    if end == "killed":
        call.actor.kill()
        assert call.actor.wait_until_dead(seconds=5) == signal.SIGKILL
        it.works()
    else:
        it.guest.detach()
        assert call.results(seconds=5)
        assert call.error() == errno.ENXIO
        it.guest.log.assert_clean()


# Readers and hosts that go away.


@pytest.mark.parametrize("tsm", CORES)
def test_killed_reader_makes_room(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    it.provider.fault("late")
    with it.provider.hold() as gate:
        first = it.start_read(1)
        gate.wait_for_request()
        first.wait_until_blocked("report_new")
        second = it.start_read(2)
        second.wait_until_blocked()  # on the core's lock, or in the provider too
        first.actor.kill()
        assert first.actor.wait_until_dead(seconds=5) == signal.SIGKILL
        with pytest.raises(ActorDiedError):
            first.result()
        it.provider.wait_cancelled(1)
        gate.wait_for_request()
        assert it.moved()["cancelled"] == it.moved()["in_flight"] == 1
    assert second.result() == it.provider.issued[-1].evidence.outblob
    it.works()
    assert it.moved() == {"frames_in": 3, "frames_out": 4, "cancelled": 1, "stale": 1}


@pytest.mark.parametrize("tsm", CORES)
def test_host_that_leaves_releases_its_readers(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    with it.provider.hold() as gate:
        first = it.start_read(1)
        gate.wait_for_request()
        first.wait_until_blocked("report_new")
        second = it.start_read(2)
        second.wait_until_blocked()
        it.guest.detach()
        assert (first.error(), second.error()) == (errno.ENXIO, errno.ENXIO)
    _wait_until_closed(it.guest)
    assert it.interface_is_gone()
    gone = errno.ENOENT if it.report.entry == "tsm0" else errno.ENXIO
    assert it.start_read(3).error() == gone
    assert it.counters()["in_flight"] == 0

    it.remove_entry()
    it.provider = it.attach()
    assert it.provider.wait_registered() == 0
    it.begin_again()
    it.works()


def test_refused_registration_is_told_to_the_host(stage: SetStage) -> None:
    it = stage("mainline")
    it.guest.detach()
    _wait_until_closed(it.guest)
    assert it.attach().wait_registered() == errno.EBUSY  # the entry is still there
    assert it.start_read().error() == errno.ENXIO
    it.guest.detach()
    _wait_until_closed(it.guest)
    it.remove_entry()
    it.provider = it.attach()
    assert it.provider.wait_registered() == 0
    it.begin_again()
    it.works()


def _registrations(it: Stage) -> list[str]:
    sent = it.provider.transcript.items()
    return [entry.summary for entry in sent if entry.type == "REGISTERED"]


@pytest.mark.parametrize("tsm", CORES)
def test_reset_fails_what_is_in_flight_and_nothing_else(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    session = it.provider.session
    with it.provider.hold() as gate:
        call = it.start_read()
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        it.provider.reset()
        assert call.error() == errno.ENXIO
        assert it.counters()["in_flight"] == 0
    _until(it.guest, lambda: len(_registrations(it)) == 2, "the end of the reset")
    assert _registrations(it) == ["errno=0", "errno=0"]
    assert it.provider.session not in (0, session)
    it.works()  # on the entry that was there before


def test_reset_is_over_when_the_driver_has_registered(stage: SetStage) -> None:
    it = stage("mainline")
    for _ in range(5):
        it.provider.reset()
        assert it.provider.wait_registered() == 0
        it.works()


def test_another_offer_after_a_reset_is_registered_anew(stage: SetStage) -> None:
    it = stage("mainline")
    assert it.report.read("provider") == b"sev_guest\n"
    it.remove_entry()
    it.provider.provider.kernel_name = "another_guest"  # type: ignore[misc]
    it.provider.reset()
    assert it.provider.wait_registered() == 0
    it.begin_again()
    assert it.report.read("provider") == b"another_guest\n"


@pytest.mark.parametrize("tsm", CORES)
def test_host_takes_its_leave_and_comes_back(stage: SetStage, tsm: str) -> None:
    it = stage(tsm)
    with it.provider.hold() as gate:
        call = it.start_read()
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        it.provider.going_away()
        assert call.error() == errno.ENXIO
    _until(it.guest, lambda: len(_registrations(it)) == 2, "the unregistration")
    assert it.interface_is_gone()
    it.remove_entry()
    it.provider.reset()
    _until(it.guest, lambda: len(_registrations(it)) == 3, "the next registration")
    assert _registrations(it) == ["errno=0", f"errno={errno.ENXIO}", "errno=0"]
    it.begin_again()
    it.works()


# A host that is hostile.

_SESSION = 0x7E57
_ALL = 0xFFFF_FFFF
_BLOBS = (bytes(range(256)) * 4, b"aux" * 101, b"manifest" * 17)


class RawHost:
    """Whoever connects to the provider port of ``guest``, and says what it likes."""

    def __init__(self, guest: Guest) -> None:
        self._timeouts = guest.timeouts
        self._sock = guest.machine.connect("provider")
        self._parser = FrameParser()
        self._frames: deque[Frame] = deque()

    def send(self, data: bytes) -> None:
        """Send ``data``; a guest that reads none of it fails the test."""
        self._sock.settimeout(self._timeouts.scaled(_SECONDS))
        self._sock.sendall(data)

    def expect(self, kind: int) -> Frame:
        """The next frame of this type; others before it are dropped."""
        deadline = self._timeouts.deadline(_SECONDS, f"a frame of type {kind:#x}")
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
        """Answer the guest's greeting as a provider that shows every file; the core's errno."""
        greeting = self.expect(FrameType.HELLO)
        nonce = decode_guest_hello(greeting.payload).nonce
        hello = HostHello(nonce, "raw", 0, _ALL, _ALL, max_in_flight)
        self.send(_hello(greeting.id, encode_host_hello(hello)))
        return self.registered()

    def registered(self) -> int:
        """The errno of the registration."""
        return int.from_bytes(self.expect(FrameType.REGISTERED).payload, "little")

    def close(self) -> None:
        """Leave, whatever is half said."""
        self._sock.close()


Connect = Callable[[Guest], RawHost]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes hosts that end with their test."""
    with ExitStack() as stack:

        def make(guest: Guest) -> RawHost:
            host = RawHost(guest)
            stack.callback(host.close)
            return host

        yield make


def _hello(
    ident: int, payload: bytes, *, status: Status = Status.OK, session: int = _SESSION
) -> bytes:
    return encode_frame(Frame(FrameType.HELLO | REPLY, 0, session, ident, status, payload))


def _answer(ident: int, payload: bytes = b"", *, flags: int = 0, status: int = 0) -> bytes:
    return encode_frame(Frame(FrameType.REPORT | REPLY, flags, _SESSION, ident, status, payload))


def _announce(*lengths: int, flags: int = ReplyFlag.VMALLOC) -> bytes:
    """The head of an answer; its blobs are kept where /proc tells what was not freed."""
    return REPORT_REPLY.pack(*lengths, flags)


def _whole(ident: int) -> bytes:
    return _answer(ident, _announce(*map(len, _BLOBS), flags=0) + b"".join(_BLOBS))


def _begun(ident: int) -> bytes:
    """The first part of an answer of which 5200 bytes are to follow."""
    return _answer(ident, _announce(5000, 300, 0) + b"b" * 100, flags=FrameFlag.MORE)


def _too_long(ident: int) -> bytes:
    """A sound frame, but for the length of its payload."""
    payload = bytes(MAX_PAYLOAD + 1)
    kind, length, crc = FrameType.REPORT | REPLY, len(payload), crc32(payload)
    head = HEAD.pack(MAGIC, VERSION, kind, 0, _SESSION, ident, length, 0, crc)
    return head + crc32(head).to_bytes(4, "little") + payload


def _signed(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


HOSTILE: dict[str, tuple[Callable[[int], bytes], int]] = {
    "unknown flag": (lambda n: _answer(n, _announce(0, 0, 0), flags=0x8000), errno.EBADMSG),
    "unknown status": (lambda n: _answer(n, status=200), errno.EPROTO),
    "short head": (lambda n: _answer(n, _announce(0, 0, 0)[:-1]), errno.EBADMSG),
    "no head": (_answer, errno.EBADMSG),
    "huge lengths": (lambda n: _answer(n, _announce(_ALL, _ALL, _ALL)), errno.EMSGSIZE),
    # The sum is small only for whoever adds in 32 bits.
    "wrapping lengths": (lambda n: _answer(n, _announce(_ALL, 2, 0)), errno.EMSGSIZE),
    "outblob that is not there": (
        lambda n: _answer(n, _announce(4, 0, 0, flags=ReplyFlag.NO_OUTBLOB) + b"blob"),
        errno.EBADMSG,
    ),
    "more than announced": (lambda n: _begun(n) + _answer(n, bytes(5201)), errno.EBADMSG),
    "less than announced": (lambda n: _begun(n) + _answer(n, bytes(5199)), errno.EBADMSG),
    "failure half way": (
        lambda n: _begun(n) + _answer(n, _signed(-errno.EIO), status=Status.INJECT), errno.EIO
    ),
    "refusal half way": (lambda n: _begun(n) + _answer(n, status=Status.BUSY), errno.EBUSY),
    "frame too long": (_too_long, errno.EMSGSIZE),
    "frame too long half way": (lambda n: _begun(n) + _too_long(n), errno.EMSGSIZE),
    "no errno, too large": (
        lambda n: _answer(n, _signed(4096), status=Status.INJECT), errno.EPROTO
    ),
    "no errno, too small": (
        lambda n: _answer(n, _signed(-4096), status=Status.INJECT), errno.EPROTO
    ),
    "no errno at all": (lambda n: _answer(n, status=Status.INJECT), errno.EPROTO),
    "throttled, no time": (lambda n: _answer(n, bytes(5), status=Status.THROTTLED), errno.EPROTO),
}  # fmt: skip


@dataclass
class RawStage:
    """A guest whose provider is spoken by the test itself."""

    guest: Guest
    host: RawHost
    report: Report

    def ask(self, actor: int = 1) -> tuple[Call[bytes], int]:
        """Begin to read the outblob; the request's id."""
        call = _start_read(self.guest, actor, self.report)
        return call, self.host.expect(FrameType.REPORT).id

    def leftovers(self) -> int:
        """How many areas of virtual memory the driver has."""
        text, actor = b"", self.guest.actors[0]
        path = "/proc/vmallocinfo"
        while True:
            ops = [Op.open(path), Op.pread(16384, len(text)), Op.close()]
            part = actor.start(ops, lambda got: got[1].data, path).result()
            if not part:
                return text.count(b"[tsm_sim]")
            text += part


SetRaw = Callable[[str], RawStage]


@pytest.fixture
def raw(clone: Clone, connect: Connect) -> SetRaw:
    """Sets a stage of which the test is the host."""

    def make(tsm: str) -> RawStage:
        guest = clone(tsm)
        host = connect(guest)
        assert host.register() == 0
        report = find_interface(guest).report()
        report.write_inblob(_NONCE)
        return RawStage(guest, host, report)

    return make


@pytest.mark.parametrize("tsm", SOUND)
def test_hostile_answer_is_an_errno(raw: SetRaw, tsm: str) -> None:
    it = raw(tsm)
    before = it.leftovers()
    seen = {}
    for name, (answer, _) in HOSTILE.items():
        call, ident = it.ask()
        it.host.send(answer(ident))
        seen[name] = call.error()
    assert seen == {name: expected for name, (_, expected) in HOSTILE.items()}
    assert it.leftovers() == before
    call, ident = it.ask()
    it.host.send(_whole(ident))
    assert call.result() == _BLOBS[0]
    counters = _counters(it.guest)
    assert (counters["oversize"], counters["resyncs"], counters["crc_errors"]) == (2, 0, 0)
    assert counters["in_flight"] == 0
    it.guest.log.assert_clean()


def test_success_without_report_half_way_shows_no_memory(raw: SetRaw) -> None:
    it = raw("class-fixed")
    call, ident = it.ask()
    begun = _answer(ident, _announce(1000, 0, 0, flags=0), flags=FrameFlag.MORE)
    it.host.send(begun + _answer(ident, _signed(0), status=Status.INJECT))
    assert call.error() == errno.EIO, f"bytes that nobody sent: {call.result()!r}"


def test_throttled_half_way_frees_what_came(raw: SetRaw) -> None:
    it = raw("class-fixed")
    before = it.leftovers()
    call, ident = it.ask()
    it.host.send(_begun(ident) + _answer(ident, bytes(4), status=Status.THROTTLED))
    again = it.host.expect(FrameType.REPORT).id
    assert again == ident + 1
    it.host.send(_begun(again) + _answer(again, b"\xff" * 4, status=Status.THROTTLED))
    assert call.error() == errno.ETIMEDOUT
    assert it.leftovers() == before


def test_answer_to_somebody_else_is_not_heard(raw: SetRaw) -> None:
    it = raw("class-fixed")
    call, ident = it.ask()
    for session, other in ((_SESSION ^ 1, ident), (0, ident), (_SESSION, ident + 1), (_SESSION, 0)):
        it.host.send(encode_frame(Frame(FrameType.REPORT | REPLY, 0, session, other)))
    it.host.send(_whole(ident))
    assert call.result() == _BLOBS[0]
    assert _counters(it.guest)["stale"] == 4


def test_answer_in_many_parts_is_put_together(raw: SetRaw) -> None:
    it = raw("mainline")
    call, ident = it.ask()
    body = _announce(*map(len, _BLOBS)) + b"".join(_BLOBS)
    cuts = [0, 16, *range(17, len(body), 7), len(body)]
    parts = [body[start:end] for start, end in pairwise(cuts)]
    sent = [_answer(ident, part, flags=FrameFlag.MORE) for part in [*parts, b""]]
    it.host.send(b"".join(sent) + _answer(ident))
    assert call.result() == _BLOBS[0]
    assert it.report.read("auxblob") == _BLOBS[1]
    assert it.report.read("manifestblob") == _BLOBS[2]
    assert _counters(it.guest)["frames_in"] == len(sent) + 2
    it.guest.log.assert_clean()


@pytest.mark.parametrize("tsm", SOUND)
def test_leaving_host_may_still_answer(raw: SetRaw, tsm: str) -> None:
    it = raw(tsm)
    call, ident = it.ask()
    keep = Frame(FrameType.GOING_AWAY, session=_SESSION, payload=b"\1\0\0\0")
    it.host.send(encode_frame(keep))
    _until(it.guest, lambda: _counters(it.guest)["frames_in"] == 2, "the leave")
    call.wait_until_blocked("report_new")
    it.host.send(_whole(ident))
    assert call.results()[1].data == _BLOBS[0]  # the file is gone before its end was looked for
    assert it.host.registered() == errno.ENXIO
    it.guest.log.assert_clean()


def test_pings_of_a_host_that_does_not_listen(raw: SetRaw) -> None:
    it = raw("class-fixed")
    number, payload = 1000, bytes(MAX_REQUEST)
    for ident in range(number):
        it.host.send(encode_frame(Frame(FrameType.PING, 0, _SESSION, ident, 0, payload)))

    def all_answered() -> bool:
        counters = _counters(it.guest)  # with the greeting and the registration
        return counters["frames_out"] + counters["dropped"] == number + 2

    _until(it.guest, all_answered, "an end of the pings")
    dropped = _counters(it.guest)["dropped"]
    assert 0 < dropped < number
    answers = [it.host.expect(FrameType.PING | REPLY) for _ in range(number - dropped)]
    assert all(one.payload == payload for one in answers)
    idents = [one.id for one in answers]
    assert idents == sorted(set(idents))
    too_big = Frame(FrameType.PING, 0, _SESSION, number, 0, payload + b"!")
    it.host.send(encode_frame(too_big))
    refused = it.host.expect(FrameType.PING | REPLY)
    assert (refused.id, refused.status, refused.payload) == (number, Status.TOO_BIG, b"")
    call, ident = it.ask()
    it.host.send(_whole(ident))
    assert call.result() == _BLOBS[0]
    it.guest.log.assert_clean()


def _tlvs(*extra: tuple[int, bytes], name: bytes = b"raw") -> bytes:
    return encode_tlvs([(HelloTag.NAME, name), *extra])


_OPTIONAL = (OPTIONAL_TLV | 9, b"ignored")

GREETINGS: dict[str, tuple[int, bytes]] = {
    "least": (0, _tlvs()),
    "most": (0, _tlvs(*[_OPTIONAL] * (MAX_TLVS - 1), name=b"n" * 64)),
    "nameless": (errno.EPROTO, encode_tlvs([_OPTIONAL])),
    "empty": (errno.EPROTO, b""),
    "empty name": (errno.EPROTO, _tlvs(name=b"")),
    "long name": (errno.EPROTO, _tlvs(name=b"n" * 65)),
    "name with an end": (errno.EPROTO, _tlvs(name=b"n\0n")),
    "one too many": (errno.EPROTO, _tlvs(*[_OPTIONAL] * MAX_TLVS)),
    "unknown": (errno.EPROTO, _tlvs((9, bytes(4)))),
    "short number": (errno.EPROTO, _tlvs((HelloTag.TIMEOUT_MS, bytes(3)))),
    "half a head": (errno.EPROTO, _tlvs()[:-11]),
    "half a value": (errno.EPROTO, _tlvs()[:-1]),
    "too long a value": (errno.EPROTO, _tlvs() + b"\4\0\0\0\xff\xff\xff\xff" + bytes(4)),
}


@pytest.mark.parametrize("tsm", SOUND)
def test_greeting_is_taken_or_refused(clone: Clone, connect: Connect, tsm: str) -> None:
    guest, seen = clone(tsm), {}
    for name, (_, tlvs) in GREETINGS.items():
        host = connect(guest)
        greeting = host.expect(FrameType.HELLO)
        head = HOST_HELLO.pack(decode_guest_hello(greeting.payload).nonce, VERSION, 0, 1)
        host.send(_hello(greeting.id, head + tlvs))
        seen[name] = host.registered()
        host.close()
        _wait_until_closed(guest)
    assert seen == {name: expected for name, (expected, _) in GREETINGS.items()}
    guest.log.assert_clean()


def test_answer_to_another_greeting_is_not_heard(clone: Clone, connect: Connect) -> None:
    guest = clone("mainline")
    host = connect(guest)
    greeting = host.expect(FrameType.HELLO)
    nonce = decode_guest_hello(greeting.payload).nonce
    head = HOST_HELLO.pack(nonce, VERSION, 0, 1)
    host.send(_hello(greeting.id, HOST_HELLO.pack(nonce ^ 1, VERSION, 0, 1) + _tlvs()))
    host.send(_hello(greeting.id, head[:-1]))
    host.send(_answer(greeting.id) + _whole(2))
    host.send(_hello(greeting.id, head + _tlvs()))
    assert host.registered() == 0
    host.send(_hello(greeting.id, head + _tlvs()))  # once is enough
    _until(guest, lambda: _counters(guest)["stale"] == 5, "the last frame")
    assert _counters(guest)["frames_in"] == 6
    guest.log.assert_clean()


def test_greeting_of_another_kind_is_refused(clone: Clone, connect: Connect) -> None:
    guest = clone("mainline")
    for version, status, session in (
        (VERSION + 1, Status.OK, _SESSION),
        (VERSION, Status.UNSUPPORTED, _SESSION),
        (VERSION, Status.OK, 0),
    ):
        host = connect(guest)
        greeting = host.expect(FrameType.HELLO)
        head = HOST_HELLO.pack(decode_guest_hello(greeting.payload).nonce, version, 0, 1)
        host.send(_hello(greeting.id, head + _tlvs(), status=status, session=session))
        assert host.registered() == errno.EPROTONOSUPPORT
        host.close()
        _wait_until_closed(guest)
    guest.log.assert_clean()


def _junk(source: random.Random) -> bytes:
    return source.randbytes(20_000)


def _magic_junk(source: random.Random) -> bytes:
    magic = MAGIC.to_bytes(4, "little")
    return b"".join(magic[: source.randrange(5)] + source.randbytes(9) for _ in range(2000))


def _giant(source: random.Random) -> bytes:
    """A sound header of a payload that never ends."""
    head = HEAD.pack(MAGIC, VERSION, FrameType.PING, 0, _SESSION, 1, _ALL, 0, 0)
    return head + crc32(head).to_bytes(4, "little") + source.randbytes(100_000)


def _half(source: random.Random) -> bytes:
    whole = encode_frame(Frame(FrameType.PING, 0, _SESSION, 1, 0, source.randbytes(3000)))
    return whole[: source.randrange(1, len(whole))]


def _frame(source: random.Random) -> bytes:
    """A frame whose every field may be right or wrong."""
    kinds = (REPLY | FrameType.REPORT, REPLY | FrameType.HELLO, FrameType.PING)
    rare = (FrameType.RESET, FrameType.GOING_AWAY, source.randrange(256))
    lengths = [source.choice((0, 1, 50, 33_000, _ALL)) for _ in range(3)]
    frame = Frame(
        source.choice(kinds if source.random() < 0.95 else rare),
        source.choice((0, 0, FrameFlag.MORE, FrameFlag.MORE, source.getrandbits(16))),
        source.choice((_SESSION, _SESSION, _SESSION, 0, source.getrandbits(32))),
        source.choice((1, 2, 2, 3, 3, 4, source.getrandbits(32))),
        source.choice((0, 0, 0, *Status, source.getrandbits(32))),
        source.choice((
            source.randbytes(4),
            _signed(source.randrange(-5000, 5000)),
            source.randbytes(source.randrange(MAX_REQUEST)),
            _announce(*lengths, flags=source.randrange(16)) + bytes(source.randrange(200)),
        )),
    )  # fmt: skip
    data = bytearray(encode_frame(frame))
    if source.random() < 0.1:
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    return bytes(data)


def _frames(source: random.Random) -> bytes:
    return b"".join(_frame(source) for _ in range(200))


@pytest.mark.parametrize("tsm", SOUND)
def test_guest_survives_any_bytes(clone: Clone, connect: Connect, attach: Attach, tsm: str) -> None:
    guest, source = clone(tsm), random.Random(20230814)
    for noise in (_junk, _magic_junk, _frames, _half, _giant):
        host = connect(guest)
        host.expect(FrameType.HELLO)  # and leave it unanswered
        host.send(noise(source))
        host.close()
        _wait_until_closed(guest)
        host = connect(guest)  # in a session
        assert host.register() == 0
        host.send(noise(source))
        host.close()
        _wait_until_closed(guest)
    counters = _counters(guest)
    assert min(counters[name] for name in ("resyncs", "crc_errors", "stale", "oversize")) > 0
    assert counters["in_flight"] == 0
    provider = attach(guest)
    report = find_interface(guest).report()
    report.write_inblob(_NONCE)
    assert report.read_outblob() == provider.issued[-1].evidence.outblob
    guest.log.assert_clean()


@pytest.mark.parametrize("noise", [_junk, _magic_junk])
def test_greeting_is_heard_behind_noise(
    clone: Clone, connect: Connect, noise: Callable[[random.Random], bytes]
) -> None:
    guest = clone("mainline")
    host = connect(guest)
    host.send(noise(random.Random(1)))
    assert host.register() == 0
    assert _counters(guest)["resyncs"] == 1
    guest.log.assert_clean()


@pytest.mark.parametrize("seed", range(3))
def test_readers_come_back_whatever_is_answered(raw: SetRaw, session: Session, seed: int) -> None:
    it, source = raw("class-fixed"), random.Random(seed)
    first, _ = it.ask(1)
    calls = [first, *(_start_read(it.guest, actor, it.report) for actor in (2, 3))]
    for _ in range(5):
        it.host.send(_frames(source))
    assert first.error() != errno.ENXIO, "nothing that was answered arrived"
    it.host.close()
    for call in calls:
        call.results()  # however each ended
    _wait_until_closed(it.guest)
    assert _counters(it.guest)["in_flight"] == 0
    # Bytes that the relay has not read may announce a long payload: a new relay discards them.
    it.guest.relay(start=False)
    it.guest.relay(start=True)
    # The new relay may have sent HELLO before this host connected.
    connection = it.guest.machine.connect("provider")
    with ProviderLoop(session.provider(DEFAULT_PROVIDER, 0), connection, reset=True) as provider:
        assert provider.wait_registered() == 0
        it.report.write_inblob(_NEXT_NONCE)
        assert it.report.read_outblob() == provider.issued[-1].evidence.outblob
        it.guest.log.assert_clean()


@pytest.mark.parametrize("tsm", ["class-fixed", "mainline"])
@pytest.mark.parametrize("size", [4096, 12_289, 32_768])
def test_long_reports_are_read_to_their_end(
    clone: Clone, attach: Attach, tsm: str, size: int
) -> None:
    guest = clone(tsm)
    provider = attach(guest)
    report = find_interface(guest).report()
    report.write_inblob(bytes(range(64)))
    provider.fault(Fault(oversize=size, no_auxblob=True))
    assert report.read_outblob() == provider.issued[0].evidence.outblob
