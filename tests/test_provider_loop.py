# SPDX-License-Identifier: MIT
"""The provider loop, with a fake guest on a socket pair."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers_sim import (
    Evidence,
    Fault,
    Options,
    ProviderError,
    ProviderLoop,
    ProviderRefusal,
    ProviderTimeout,
)
from providers_sim.fault_table import Answer
from providers_sim.transcript import BoundedLog
from providers_sim.transport import Transport
from tests.fake_guest import (
    NONCE,
    REPORT_REPLY_TYPE,
    SECONDS,
    EchoProvider,
    FakeGuest,
    Rig,
)
from tsmw.constants import VERSION, FrameFlag, FrameType, ReplyFlag, Status
from tsmw.frame import Frame, encode_frame
from tsmw.hello import (
    GUEST_HELLO,
    GuestHello,
    HostHello,
    decode_host_hello,
    encode_guest_hello,
)
from tsmw.report import REPORT_REPLY

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@pytest.fixture
def rig() -> Iterator[Rig]:
    with Rig() as connected:
        connected.guest.open_session()
        yield connected


def test_hello_reply_describes_the_provider_and_echoes_the_nonce() -> None:
    with Rig() as rig:
        hello = rig.guest.open_session()
        assert hello == HostHello(NONCE, "echo_guest", 1, 0xF, 0x7, 16, 1500)
        assert rig.guest.session == rig.loop.session != 0


def test_hello_of_an_unknown_version_is_unsupported() -> None:
    with Rig() as rig:
        offer = GuestHello(NONCE, VERSION + 1, VERSION + 2, 1, 65536, 1, 1)
        rig.guest.send(FrameType.HELLO, 1, encode_guest_hello(offer))
        reply = rig.guest.receive()
        assert (reply.status, reply.session) == (Status.UNSUPPORTED, 0)
        assert decode_host_hello(reply.payload).nonce == NONCE
        rig.guest.open_session()


def test_wait_registered_waits_for_the_driver(rig: Rig) -> None:
    with pytest.raises(ProviderTimeout, match="registration"):
        rig.loop.wait_registered(0.01)
    rig.guest.send(FrameType.REGISTERED, 0, errno.EBUSY.to_bytes(4, "little"))
    assert rig.loop.wait_registered(SECONDS) == errno.EBUSY
    rig.guest.open_session()
    with pytest.raises(ProviderTimeout):
        rig.loop.wait_registered(0.01)


def test_report_is_answered_and_recorded(rig: Rig) -> None:
    rig.guest.send_report(1, b"abc")
    ident, evidence, flags = rig.guest.receive_report()
    assert (ident, evidence, flags) == (1, Evidence(b"abc#1", b"aux", b"manifest"), 0)
    (issued,) = rig.loop.issued
    assert (issued.request.inblob, issued.evidence) == (b"abc", evidence)
    assert (rig.loop.requests, rig.loop.in_flight, rig.loop.max_in_flight_seen) == (1, 0, 1)
    entries = rig.loop.transcript.items()
    assert [(entry.direction, entry.type) for entry in entries] == [
        ("guest>host", "HELLO"),
        ("host>guest", "HELLO_REPLY"),
        ("guest>host", "REPORT"),
        ("host>guest", "REPORT_REPLY"),
    ]
    assert "inblob=616263" in entries[2].summary


def test_gate_holds_until_released(rig: Rig) -> None:
    with rig.loop.hold() as gate:
        rig.guest.send_report(1, b"a")
        rig.guest.send_report(2, b"b")
        held = gate.wait_for_request(2, SECONDS)
        assert [request.id for request in held] == [1, 2]
        rig.guest.ping()  # the loop answers it while it holds requests
        assert (rig.loop.in_flight, rig.loop.issued) == (2, ())
        assert gate.release(1) == 1
        assert rig.guest.receive_report()[0] == 1
        assert [request.id for request in gate.held] == [2]
        with pytest.raises(ProviderError, match="already held"):
            rig.loop.hold()
    assert rig.guest.receive_report()[0] == 2
    rig.guest.send_report(3)
    assert rig.guest.receive_report()[0] == 3
    assert rig.loop.max_in_flight_seen == 2


def test_gate_releases_in_reverse_order(rig: Rig) -> None:
    with rig.loop.hold() as gate:
        for ident in (1, 2, 3):
            rig.guest.send_report(ident)
        gate.wait_for_request(3, SECONDS)
        gate.release(reverse=True)
        assert [rig.guest.receive_report()[0] for _ in range(3)] == [3, 2, 1]


def test_gate_wait_has_a_deadline(rig: Rig) -> None:
    with rig.loop.hold() as gate, pytest.raises(ProviderTimeout, match="0 held, 0 arrived"):
        gate.wait_for_request(1, 0.01)


def test_cancelled_request_leaves_the_gate_without_an_answer(rig: Rig) -> None:
    with rig.loop.hold() as gate:
        rig.guest.send_report(1)
        gate.wait_for_request(1, SECONDS)
        rig.guest.cancel(1)
        rig.loop.wait_cancelled(1, SECONDS)
        assert (gate.held, gate.arrived, rig.loop.in_flight) == ([], 1, 0)
    rig.guest.ping()
    assert rig.loop.issued == ()


def test_faults_are_injected_in_the_order_of_the_queue(rig: Rig) -> None:
    rig.loop.fail_next(errno.EIO, 2)
    rig.loop.fault("empty").inject(7).no_outblob().vmalloc()
    for ident, value in ((1, -errno.EIO), (2, -errno.EIO)):
        rig.guest.send_report(ident)
        frame = rig.guest.receive()
        assert (frame.id, frame.status) == (ident, Status.INJECT)
        assert int.from_bytes(frame.payload, "little", signed=True) == value
    rig.guest.send_report(3)
    assert rig.guest.receive_report() == (3, Evidence(b""), 0)
    rig.guest.send_report(4)
    assert rig.guest.receive().payload == (7).to_bytes(4, "little")
    rig.guest.send_report(5)
    assert rig.guest.receive_report()[1:] == (
        Evidence(b"", b"aux", b"manifest"),
        ReplyFlag.NO_OUTBLOB,
    )
    rig.guest.send_report(6)
    assert rig.guest.receive_report()[2] == ReplyFlag.VMALLOC
    rig.guest.send_report(7)
    assert rig.guest.receive_report()[1].auxblob == b"aux"
    # Only the requests with the faults empty and vmalloc, and without a fault, reach a reader.
    assert [issued.request.id for issued in rig.loop.issued] == [3, 6, 7]
    faults = [entry.fault for entry in rig.loop.transcript.items() if entry.type == "REPORT"]
    assert faults[:3] == [f"inject={-errno.EIO}"] * 2 + ["empty=True"]


def test_faults_change_the_blobs(rig: Rig) -> None:
    rig.loop.faults.truncated(2).oversize(200_000).no_auxblob().keep_lengths()
    rig.guest.send_report(1, b"abc")
    assert rig.guest.receive_report()[1].outblob == b"abc"
    rig.guest.send_report(2, b"abc")
    evidence = rig.guest.receive_report()[1]
    assert len(evidence.outblob) == 200_000
    assert evidence == rig.loop.issued[-1].evidence
    rig.guest.send_report(3)
    assert rig.guest.receive_report()[1:] == (Evidence(b"nonce#3", b"", b"manifest"), 0)
    rig.guest.send_report(4)
    assert rig.guest.receive_report()[1:] == (Evidence(b"nonce#4"), ReplyFlag.KEEP_LENGTHS)


def test_delayed_answer_does_not_delay_others(rig: Rig) -> None:
    rig.loop.fault("delay", seconds=0.05)
    start = monotonic()
    rig.guest.send_report(1)
    rig.guest.send_report(2)
    assert [rig.guest.receive_report()[0], rig.guest.receive_report()[0]] == [2, 1]
    assert monotonic() - start >= 0.05


def test_delayed_request_is_not_answered_once_cancelled(rig: Rig) -> None:
    rig.loop.faults.delay(0.01).delay(0.02)
    rig.guest.send_report(1)
    rig.guest.cancel(1)
    rig.guest.send_report(2)
    assert rig.guest.receive_report()[0] == 2
    assert [issued.request.id for issued in rig.loop.issued] == [2]


def test_late_answer_follows_the_cancellation(rig: Rig) -> None:
    rig.loop.fault("late")
    rig.guest.send_report(1)
    rig.guest.ping()
    rig.guest.cancel(1)
    assert rig.guest.receive_report()[0] == 1
    assert rig.loop.issued == ()


def test_late_answer_after_a_gate_and_a_delay_is_sent_once(rig: Rig) -> None:
    rig.loop.fault(Fault(late=True, delay=0.01))
    with rig.loop.hold() as gate:
        rig.guest.send_report(1)
        gate.wait_for_request(1, SECONDS)
        rig.guest.cancel(1)
        rig.loop.wait_cancelled(1, SECONDS)
    rig.loop.fault("delay", seconds=0.02)
    rig.guest.send_report(2)
    assert [rig.guest.receive_report()[0] for _ in range(2)] == [1, 2]
    rig.guest.ping()


def test_silent_request_is_in_flight_until_cancelled(rig: Rig) -> None:
    rig.loop.fault("silent")
    rig.guest.send_report(1)
    rig.guest.ping()
    assert rig.loop.in_flight == 1
    rig.guest.cancel(1)
    rig.guest.ping()
    assert rig.loop.in_flight == 0


def test_duplicate_answers_are_equal(rig: Rig) -> None:
    rig.loop.fault("duplicate")
    rig.guest.send_report(1)
    assert rig.guest.receive_report() == rig.guest.receive_report()
    assert len(rig.loop.issued) == 1


@pytest.mark.parametrize(
    ("part", "resyncs", "crc_errors"), [("payload", 0, 1), ("header", 1, 0), ("garbage", 1, 0)]
)
def test_corrupt_bytes_reach_the_guest(rig: Rig, part: str, resyncs: int, crc_errors: int) -> None:
    rig.loop.fault("corrupt", what=part)
    rig.guest.send_report(1)
    rig.guest.send_report(2)
    idents = [rig.guest.receive_report()[0]]
    if part == "garbage":
        idents.append(rig.guest.receive_report()[0])
    assert idents == ([1, 2] if part == "garbage" else [2])
    assert (rig.guest.parser.resyncs, rig.guest.parser.crc_errors) == (resyncs, crc_errors)
    assert [issued.request.id for issued in rig.loop.issued] == idents


def test_corrupt_lengths_announce_more_than_the_reply_carries(rig: Rig) -> None:
    rig.loop.fault("corrupt", what="lengths")
    rig.guest.send_report(1)
    payload = rig.guest.receive().payload
    out, aux, manifest, _ = REPORT_REPLY.unpack_from(payload)
    assert out + aux + manifest == len(payload) - REPORT_REPLY.size + 1


def test_combined_fault_affects_one_request(rig: Rig) -> None:
    rig.loop.fault(Fault(delay=0.01, duplicate=True, keep_lengths=True))
    rig.guest.send_report(1)
    assert rig.guest.receive_report()[2] == rig.guest.receive_report()[2] == ReplyFlag.KEEP_LENGTHS


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("no-such", {}),
        ("add", {}),
        ("delay", {}),
        ("delay", {"seconds": -1.0}),
        ("inject", {"value": 4096}),
        ("corrupt", {"what": "no-such"}),
        ("oversize", {"total": 1 << 40}),
        ("silent", {"times": 0}),
    ],
)
def test_invalid_fault_is_refused(rig: Rig, name: str, params: dict[str, object]) -> None:
    with pytest.raises(ProviderError):
        rig.loop.fault(name, **params)
    assert len(rig.loop.faults) == 0


def test_refusal_carries_its_status(rig: Rig) -> None:
    rig.guest.send_report(1, b"refuse")
    frame = rig.guest.receive()
    assert (frame.status, frame.payload) == (Status.THROTTLED, (250).to_bytes(4, "little"))
    rig.loop.raise_if_failed()


def test_exception_of_the_provider_is_recorded_and_the_loop_continues(rig: Rig) -> None:
    rig.guest.send_report(1, b"break")
    assert rig.guest.receive().status == Status.INTERNAL
    rig.guest.send_report(2)
    assert rig.guest.receive_report()[0] == 2
    assert isinstance(rig.loop.error, ZeroDivisionError)
    with pytest.raises(ProviderError, match="an error of the provider"):
        rig.loop.raise_if_failed()


def test_provider_name_that_hello_cannot_carry_is_refused() -> None:
    for name in ("n" * 65, "né", "n\0"):
        with pytest.raises(ProviderError, match="option name is at most 64 ASCII characters"):
            Options(name=name)
    provider = EchoProvider()
    provider.kernel_name = "né"  # type: ignore[misc] # a defect of the provider
    with Rig(provider) as rig:
        with pytest.raises(EOFError):
            rig.guest.open_session()
        with pytest.raises(ProviderError, match="name must be ASCII"):
            rig.loop.raise_if_failed()


def test_new_hello_ends_the_old_session(rig: Rig) -> None:
    old = rig.guest.session
    with rig.loop.hold() as gate:
        rig.guest.send_report(1)
        gate.wait_for_request(1, SECONDS)
        rig.guest.open_session()
        assert rig.guest.session != old
        assert (gate.held, rig.loop.in_flight) == ([], 0)
    new, rig.guest.session = rig.guest.session, old
    rig.guest.send_report(2)
    rig.guest.session = new
    rig.guest.ping()
    assert rig.loop.requests == 1


def test_reset_and_going_away_are_sent(rig: Rig) -> None:
    rig.guest.send(FrameType.REGISTERED, 0, bytes(4))
    assert rig.loop.wait_registered(SECONDS) == 0
    rig.loop.reset()
    assert rig.guest.receive() == Frame(FrameType.RESET, session=rig.guest.session)
    rig.guest.open_session()
    with pytest.raises(ProviderTimeout):
        rig.loop.wait_registered(0.01)  # the driver has not reported its registration again
    rig.guest.send(FrameType.REGISTERED, 0, bytes(4))
    assert rig.loop.wait_registered(SECONDS) == 0
    rig.loop.going_away()
    assert rig.guest.receive() == Frame(FrameType.GOING_AWAY, session=rig.guest.session)


def test_reset_is_the_first_frame_to_a_guest_of_another_host() -> None:
    ours, theirs = socket.socketpair()
    guest = FakeGuest(theirs)
    with ProviderLoop(EchoProvider(), ours, reset=True) as loop, theirs:
        assert guest.receive() == Frame(FrameType.RESET)
        guest.open_session()
        guest.send(FrameType.REGISTERED, 0, bytes(4))
        assert loop.wait_registered(SECONDS) == 0


def test_going_away_posted_just_before_close_is_sent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_away() -> None:
        # The loop's thread calls this after the posted calls: close() cannot come later.
        rig.loop.going_away()
        rig.loop._transport._stopping = True

    refusal = ProviderRefusal(Status.NO_DEVICE, "going away")
    answer = Answer(refusal=refusal, then=go_away)
    monkeypatch.setattr(rig.loop.provider, "answer", lambda *_: answer)
    rig.loop.fault("delay", seconds=0.001)
    rig.guest.send_report(1)
    assert rig.guest.receive().status == Status.NO_DEVICE
    assert rig.guest.receive().type == FrameType.GOING_AWAY
    with pytest.raises(EOFError):
        rig.guest.receive()


def test_request_beyond_16_in_flight_is_busy(rig: Rig) -> None:
    with rig.loop.hold() as gate:
        for ident in range(1, 18):
            rig.guest.send_report(ident)
        frame = rig.guest.receive()
        assert (frame.id, frame.status) == (17, Status.BUSY)
        gate.wait_for_request(16, SECONDS)
        rig.guest.send_report(16)  # this id is in flight: the loop ignores the duplicate
        rig.guest.ping()
        assert rig.loop.in_flight == rig.loop.requests == 16
    assert [rig.guest.receive_report()[0] for _ in range(16)] == list(range(1, 17))


def test_malformed_requests_are_answered(rig: Rig) -> None:
    for ident, payload, status in (
        (1, b"", Status.BAD_MESSAGE),
        (2, b"\x02\x00\x00\x00\xff\xff\xff\xff", Status.BAD_MESSAGE),
        (3, b"\x63\x00" + bytes(6), Status.UNSUPPORTED),
    ):
        rig.guest.send(FrameType.REPORT, ident, payload)
        frame = rig.guest.receive()
        assert (frame.id, frame.status) == (ident, status)
    assert rig.loop.requests == 0


def test_ping_is_answered_during_a_long_reply() -> None:
    with Rig() as rig:
        rig.guest.open_session(max_payload=4096)
        rig.loop.fault("oversize", total=16 << 20)
        rig.guest.send_report(1)
        assert rig.guest.receive().flags & FrameFlag.MORE
        rig.guest.send(FrameType.PING, 2)
        size = 0
        while (frame := rig.guest.receive()).type == REPORT_REPLY_TYPE:
            size += len(frame.payload)
        assert frame.type == FrameType.PING | 0x80
        assert size < 16 << 20
        while frame.flags & FrameFlag.MORE or frame.type != REPORT_REPLY_TYPE:
            frame = rig.guest.receive()


def test_transport_reads_while_the_guest_accepts_every_byte() -> None:
    class NeverFullSocket(socket.socket):
        sent = 0

        def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
            NeverFullSocket.sent += 1
            return memoryview(data).nbytes

    ours, theirs = socket.socketpair()
    transport = Transport(NeverFullSocket(fileno=ours.detach()), name="test")
    theirs.sendall(encode_frame(Frame(FrameType.PING)))
    transport.send_bulk(iter([b"frame"] * 10_000))
    assert transport.pump(0) == [Frame(FrameType.PING)]
    assert 0 < NeverFullSocket.sent < 100
    transport.close()
    theirs.close()


def test_loop_stops_reading_from_a_guest_that_never_reads(rig: Rig) -> None:
    rig.guest.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        for _ in range(100_000):
            rig.guest.send(FrameType.PING, 1, bytes(4000))
    assert len(rig.loop._transport._urgent) < 200
    rig.loop.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=100) | st.sampled_from([encode_frame(Frame(2)), b"TSMW"])))
def test_loop_answers_requests_after_garbage(parts: list[bytes]) -> None:
    with Rig() as rig:
        rig.guest.sock.sendall(b"".join(parts))
        rig.guest.open_session()
        rig.guest.send_report(1)
        assert rig.guest.receive_report()[0] == 1
        rig.loop.raise_if_failed()


def test_malformed_hello_is_ignored(rig: Rig) -> None:
    session = rig.guest.session
    rig.guest.session = 0
    rig.guest.send(FrameType.HELLO, 1, bytes(GUEST_HELLO.size - 1))
    rig.guest.session = session
    rig.guest.ping()


def test_close_ends_waits_and_the_thread_and_closes_the_port(rig: Rig) -> None:
    errors: list[ProviderError] = []
    gate = rig.loop.hold()

    def wait() -> None:
        try:
            gate.wait_for_request(1, 60)
        except ProviderError as error:
            errors.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    rig.loop.close()
    waiter.join(SECONDS)
    assert "was closed" in str(errors[0])
    assert rig.loop.closed
    assert not [thread for thread in threading.enumerate() if thread.name == "provider-echo"]
    with pytest.raises(EOFError):
        rig.guest.receive()
    rig.loop.close()
    rig.loop.reset()


def test_loop_ends_when_the_guest_closes_its_socket(rig: Rig) -> None:
    rig.guest.sock.close()
    with pytest.raises(ProviderError, match="guest's side"):
        rig.loop.wait_requests(1, SECONDS)
    assert rig.loop.error is None


def test_exception_in_the_loop_closes_the_socket_and_is_kept(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("an error of the loop")

    monkeypatch.setattr(rig.loop._service, "dispatch", fail)
    rig.guest.send_report(1)
    with pytest.raises(EOFError):
        rig.guest.receive()
    with pytest.raises(ProviderError, match="an error of the loop"):
        rig.loop.wait_requests(1, SECONDS)
    with pytest.raises(ProviderError, match="an error of the loop"):
        rig.loop.raise_if_failed()


def test_bounded_log_keeps_the_latest_items_and_counts_dropped_items() -> None:
    log: BoundedLog[bytes] = BoundedLog(10, len)
    for item in (b"aaaa", b"bbbb", b"cc", b"dddd"):
        log.append(item)
    assert (log.items(), log.dropped) == ((b"bbbb", b"cc", b"dddd"), 1)
    log.append(bytes(100))
    assert (log.items(), log.dropped) == ((bytes(100),), 4)
