# SPDX-License-Identifier: MIT
"""Hostile input on the agent port: the guest may be lost; memory and time stay bounded."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast
from zlib import crc32

import pytest

from harness.errors import (
    ActorDiedError,
    DeadlineError,
    GuestLostError,
    HarnessError,
    ScenarioError,
)
from harness.guest.agent import AgentClient
from harness.guest.guest import Guest
from harness.oracle.kernel_log import KernelLog
from harness.qemu.machine import Machine
from harness.timeouts import Timeouts
from tsmw.agent import AGENT_HELLO, AGENT_HELLO_REPLY, STATE_REPLY
from tsmw.constants import (
    MAGIC,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    FrameType,
    Status,
)
from tsmw.frame import HEAD, Frame, FrameParser, encode_frame
from tsmw.ops import RESULT, RUN_REPLY

# Hostile bytes on the connection of the agent


def _reply(request: Frame, payload: bytes = b"", status: int = Status.OK) -> bytes:
    kind = request.type | REPLY
    return encode_frame(Frame(kind, 0, request.session, request.id, status, payload))


def _hello_reply(request: Frame, payload: bytes | None = None, status: int = Status.OK) -> bytes:
    nonce = AGENT_HELLO.unpack(request.payload)[0]
    hello = AGENT_HELLO_REPLY.pack(nonce, 1, 8, 65496) + b"6.1-hostile"
    return _reply(request, hello if payload is None else payload, status)


def _log_event(records: Sequence[bytes], session: int = 0) -> bytes:
    texts = b"".join(len(record).to_bytes(4, "little") + record for record in records)
    return encode_frame(Frame(FrameType.LOG, 0, session, 0, 0, bytes(8) + texts))


def _oversize_header(length: int) -> bytes:
    """Return the header of a frame that announces more payload than the limit."""
    head = HEAD.pack(MAGIC, VERSION, FrameType.LOG, 0, 0, 0, length, 0, 0)
    return head + crc32(head).to_bytes(4, "little")


class _StillReadingError(Exception):
    """The client reads more data than it should."""


class _EndlessConnection:
    """A connection that always has data: ``more(n)`` is the data of receive number ``n``.

    After ``limit`` receives, it raises ``last``.
    """

    def __init__(
        self, more: Callable[[int], bytes], limit: int, last: type[Exception] = _StillReadingError
    ) -> None:
        self.requests: list[Frame] = []
        self.received = 0
        self._more = more
        self._limit = limit
        self._last = last
        self._parser = FrameParser()

    def settimeout(self, _: float) -> None:
        """Do nothing: no call on this connection waits."""

    def sendall(self, data: bytes) -> None:
        """Record the requests."""
        self.requests += self._parser.feed(data)

    def recv(self, _: int) -> bytes:
        """Return the next data, which may be longer than the requested size."""
        if self.received >= self._limit:
            raise self._last
        self.received += 1
        return self._more(self.received)


class _Events:
    """The events that a client has received: deaths of actors, and the kernel log."""

    def __init__(self) -> None:
        self.deaths: list[tuple[int, int]] = []
        self.log = KernelLog(lambda: None)

    def client(self, connection: object) -> AgentClient:
        """Return a client that records its events here; its session is 0 until it sends HELLO."""
        return AgentClient(
            cast(socket.socket, connection),
            on_log=lambda batch: self.log.feed(batch.records, batch.lost),
            on_death=lambda slot, status: self.deaths.append((slot, status)),
        )


def _numbered(at: int, lines: int = 100) -> bytes:
    first = (at - 1) * lines
    return _log_event([b"6,%d,1,-;line" % number for number in range(first, first + lines)])


_ENDLESS: dict[str, Callable[[int], bytes]] = {
    "noise": lambda at: random.Random(at).randbytes(1 << 14),
    "zeroes": lambda at: bytes(1 << 14),
    "magics": lambda at: b"TSMW" * (1 << 8),
    "oversize-frames": lambda at: _oversize_header(0xFFFF_FFFF) + bytes(1 << 14),
    "cut-frame": lambda at: encode_frame(Frame(FrameType.LOG, payload=bytes(1 << 14)))[:-1],
    "other-sessions": lambda at: encode_frame(Frame(FrameType.PING | REPLY, 0, 99, 1)),
    "unrequested-replies": lambda at: encode_frame(
        Frame(FrameType.PING | REPLY, 0, 0, 1000 + at, 0, bytes(1 << 14))
    ),
    "unknown-events": lambda at: encode_frame(Frame(0x60, payload=bytes(1 << 14))),
    "malformed-deaths": lambda at: encode_frame(Frame(FrameType.ACTOR_DIED, payload=bytes(7))),
    "log": _numbered,
}


@pytest.mark.parametrize("name", _ENDLESS)
def test_endless_stream_ends_at_the_deadline(name: str) -> None:
    events, connection = _Events(), _EndlessConnection(_ENDLESS[name], limit=10**9)
    client = events.client(connection)
    with pytest.raises(DeadlineError, match=r"an answer did not happen within 0\.1 s"):
        client.call(FrameType.PING, b"", Timeouts().deadline(0.1, "an answer"))
    assert connection.received > 1
    assert events.deaths == []
    assert bool(events.log.records) == (name == "log")


@pytest.mark.parametrize("name", [name for name in _ENDLESS if name != "log"])
def test_endless_stream_is_not_stored(name: str) -> None:
    connection = _EndlessConnection(_ENDLESS[name], limit=400, last=BlockingIOError)
    client = _Events().client(connection)
    client.send(FrameType.PING, b"")
    tracemalloc.start()
    try:
        while connection.received < 400:
            client.poll()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 3 * MAX_PAYLOAD


def test_reply_between_noise_and_other_frames_is_received() -> None:
    death = encode_frame(Frame(FrameType.ACTOR_DIED, payload=struct.pack("<Ii", 3, 9)))
    before = [_ENDLESS["noise"](1), _oversize_header(200_000) + bytes(200_000), death]

    def more(at: int) -> bytes:
        if at <= len(before):
            return before[at - 1]
        (request,) = connection.requests
        return _reply(request, b"the answer") + _reply(request, b"another")

    connection = _EndlessConnection(more, len(before) + 1, last=BlockingIOError)
    events = _Events()
    client = events.client(connection)
    deadline = Timeouts().deadline(20.0, "the answer")
    assert client.call(FrameType.PING, b"", deadline) == b"the answer"
    assert events.deaths == [(3, 9)]


def test_endless_kernel_log_is_truncated_and_raises_harness_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.oracle.kernel_log.MAX_RECORDS", 1000)
    events, connection = _Events(), _EndlessConnection(_numbered, limit=30, last=BlockingIOError)
    events.client(connection).poll()
    assert len(events.log.records) == 1000
    assert events.log.lost == 2000
    with pytest.raises(HarnessError, match="2000 kernel log records are missing"):
        events.log.assert_clean()


def test_poll_returns_while_the_guest_keeps_sending() -> None:
    client = _Events().client(_EndlessConnection(_numbered, limit=500))
    client.poll()  # _StillReadingError: it has not returned after 500 receives


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(7), bytes(8) + b"\1", bytes(8) + b"\xff\xff\xff\xff", bytes(8) + b"\5\0\0\0four"],
)
def test_malformed_log_is_a_lost_guest(payload: bytes) -> None:
    frame = encode_frame(Frame(FrameType.LOG, payload=payload))
    client = _Events().client(_EndlessConnection(lambda at: frame, limit=1, last=BlockingIOError))
    with pytest.raises(GuestLostError, match="broke the protocol"):
        client.poll()


def test_number_of_outstanding_requests_is_limited() -> None:
    client = _Events().client(_EndlessConnection(lambda at: b"", limit=0, last=BlockingIOError))
    for _ in range(256):
        client.send(FrameType.PING)
    with pytest.raises(ScenarioError, match="more than 256 requests"):
        client.send(FrameType.PING)


@pytest.mark.parametrize("seed", range(20))
def test_random_payloads_in_all_frame_types_raise_only_guest_lost_error(seed: int) -> None:
    rng = random.Random(seed)
    kinds = [*FrameType, *(kind | REPLY for kind in FrameType)]

    def piece(_: int) -> bytes:
        payload = rng.choice([rng.randbytes(rng.randrange(64)), bytes(rng.randrange(64))])
        head = (rng.randrange(2), 0, rng.randrange(4), rng.randrange(256))
        return encode_frame(Frame(rng.choice(kinds), *head, payload))

    connection = _EndlessConnection(piece, limit=500, last=BlockingIOError)
    client = _Events().client(connection)
    requests = [client.send(FrameType.PING) for _ in range(3)]
    while connection.received < 500:
        try:
            client.poll()
        except GuestLostError as error:
            assert "broke the protocol" in str(error)
    assert any(client.has_reply(ident) for ident in requests)


def _damaged(frame: bytes) -> bytes:
    return frame[:-1] + bytes([frame[-1] ^ 1])


def test_a_question_is_asked_again_after_a_damaged_reply() -> None:
    def more(at: int) -> bytes:
        if at == 1:
            return _damaged(_reply(connection.requests[0], b"the answer"))
        return _reply(connection.requests[1], b"the answer")

    connection = _EndlessConnection(more, 2, last=BlockingIOError)
    client = _Events().client(connection)
    deadline = Timeouts().deadline(20.0, "the answer")
    assert client.ask(FrameType.STATE, b"slot", deadline, patience_s=1e6) == b"the answer"
    assert [request.payload for request in connection.requests] == [b"slot", b"slot"]


def test_a_question_is_asked_again_after_silence() -> None:
    connection = _EndlessConnection(lambda at: b"", 0, last=BlockingIOError)

    def sendall(data: bytes) -> None:
        _EndlessConnection.sendall(connection, data)
        if len(connection.requests) == 3:
            answer = _reply(connection.requests[0], b"late")
            connection.recv = lambda _: answer  # type: ignore[method-assign]

    connection.sendall = sendall  # type: ignore[method-assign]
    client = _Events().client(connection)
    deadline = Timeouts().deadline(20.0, "the answer")
    assert client.ask(FrameType.STATE, b"", deadline, patience_s=0.01) == b"late"


def test_a_busy_agent_still_answers_the_first_question() -> None:
    def more(at: int) -> bytes:
        if at == 1:
            return _oversize_header(200_000) + bytes(200_000)
        if at == 2:
            busy = connection.requests[1]
            return encode_frame(Frame(busy.type | REPLY, 0, 0, busy.id, Status.BUSY))
        return _reply(connection.requests[0], b"done")

    connection = _EndlessConnection(more, 3, last=BlockingIOError)
    client = _Events().client(connection)
    deadline = Timeouts().deadline(20.0, "the answer")
    assert client.ask(FrameType.LOG_SYNC, b"", deadline, patience_s=1e6) == b"done"


def test_a_question_to_a_guest_that_sends_noise_ends_at_the_deadline() -> None:
    connection = _EndlessConnection(_ENDLESS["noise"], limit=10**9)
    client = _Events().client(connection)
    with pytest.raises(DeadlineError, match="an answer did not happen"):
        client.ask(FrameType.STATE, b"", Timeouts().deadline(0.1, "an answer"), patience_s=1e6)
    assert 1 < len(connection.requests) < 10


# An agent that breaks the protocol

Answer = Callable[[Frame], bytes]


class _FakeAgent:
    """A machine whose agent replies to every request with success and an empty payload.

    ``answers`` replaces replies by frame type; an empty reply ends the connection.
    """

    directory = Path(os.devnull, "none")  # cannot exist: Guest.close() removes its directory

    def __init__(self, **answers: Answer) -> None:
        self.killed = False
        self._answers: dict[int, Answer] = {FrameType.HELLO: _hello_reply}
        self._answers |= {FrameType[name]: answer for name, answer in answers.items()}
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def connect(self, _: str) -> socket.socket:
        """Return the host's end of the agent port."""
        return self._ours

    def exit_text(self) -> str:
        """Return the output of QEMU, which is empty."""
        return ""

    def kill(self) -> None:
        """Record that the machine was killed."""
        self.killed = True

    def guest(self, *, seconds: float = 20.0) -> Guest:
        """Start a guest on this machine."""
        return Guest(cast(Machine, self), seconds=seconds)

    def _serve(self) -> None:
        parser = FrameParser()
        with self._theirs, contextlib.suppress(OSError):
            while data := self._theirs.recv(1 << 16):
                for frame in parser.feed(data):
                    answer = self._answers.get(frame.type, _reply)(frame)
                    if not answer:
                        return
                    self._theirs.sendall(answer)


def _results(*results: tuple[int, int, bytes]) -> Answer:
    """Return an answer to RUN; each result has a return value, an errno and data."""
    parts = [RESULT.pack(ret, err, len(data), 1, 2) + data for ret, err, data in results]
    return lambda frame: _reply(frame, RUN_REPLY.pack(len(results), 0) + b"".join(parts))


def test_agent_that_keeps_the_protocol_is_accepted() -> None:
    with _FakeAgent(RUN=_results((0, 0, bytes(24)))).guest() as guest:
        assert guest.kernel_release == "6.1-hostile"
        assert len(guest.actors) == 8
        assert guest.actors[0].stat("/anything").size == 0


@pytest.mark.parametrize(
    ("hello", "message"),
    [
        (lambda frame: b"", "the connection to the guest ended"),
        (lambda frame: _hello_reply(frame, b"short"), "broke the protocol"),
        (lambda frame: _hello_reply(frame, bytes(16)), "HELLO of another session"),
        (lambda frame: bytes(100), "did not happen within 0.2 s"),
    ],
    ids=["ends", "short", "other-nonce", "noise"],
)
def test_bad_hello_reply_is_a_lost_guest(hello: Answer, message: str) -> None:
    machine = _FakeAgent(HELLO=hello)
    with pytest.raises((GuestLostError, DeadlineError), match=message):
        machine.guest(seconds=0.2 if "0.2" in message else 20.0)
    assert machine.killed


@pytest.mark.parametrize(
    "state",
    [
        b"",
        STATE_REPLY.pack(77, 1, 0, 0) + bytes(20),
        STATE_REPLY.pack(0, 1, 0, 0) + bytes(16),
        STATE_REPLY.pack(0, 1, 0, 0) + b"\xff" * 20,
    ],
)
def test_bad_state_is_a_lost_guest(state: bytes) -> None:
    with _FakeAgent(STATE=lambda frame: _reply(frame, state)).guest() as guest:
        with pytest.raises(GuestLostError, match="broke the protocol"):
            guest.actors[0].state()
        assert guest.actors[0].describe_state() == "in a guest that does not answer"


@pytest.mark.parametrize(
    "run",
    [
        _reply,
        lambda frame: _reply(frame, RUN_REPLY.pack(0xFFFF_FFFF, 0)),
        lambda frame: _reply(frame, RUN_REPLY.pack(1, 0) + RESULT.pack(0, 0, 0xFFFF_FFFF, 1, 2)),
        lambda frame: _reply(frame, RUN_REPLY.pack(0, 0) + b"more"),
    ],
)
def test_bad_results_are_a_lost_guest(run: Answer) -> None:
    with (
        _FakeAgent(RUN=run).guest() as guest,
        pytest.raises(GuestLostError, match="broke the protocol"),
    ):
        guest.actors[0].read_file("/anything")


@pytest.mark.parametrize("run", [_results(), _results((0, 0, b"short"))], ids=["none", "short"])
def test_missing_or_malformed_stat_is_a_lost_guest(run: Answer) -> None:
    with (
        _FakeAgent(RUN=run).guest() as guest,
        pytest.raises(GuestLostError, match="broke the protocol"),
    ):
        guest.actors[0].stat("/anything")


def _death(frame: Frame, status: int, slot: int = 0) -> bytes:
    payload = struct.pack("<Ii", slot, status)
    return encode_frame(Frame(FrameType.ACTOR_DIED, 0, frame.session, 0, 0, payload))


@pytest.mark.parametrize(
    ("status", "message"),
    [(9, "signal SIGKILL"), (40, "signal 40"), (3 << 8, "exit status 3"), (-1, "exit status 255")],
)
def test_death_of_an_actor_is_reported(status: int, message: str) -> None:
    with (
        _FakeAgent(RUN=lambda frame: _death(frame, status)).guest() as guest,
        pytest.raises(ActorDiedError, match=message),
    ):
        guest.actors[0].read_file("/anything")


def test_death_in_a_slot_that_does_not_exist_is_ignored() -> None:
    def ping(frame: Frame) -> bytes:
        return _death(frame, 9, slot=8) + _reply(frame, frame.payload)

    with _FakeAgent(PING=ping, RUN=_results((0, 0, bytes(24)))).guest() as guest:
        assert guest.session.ping() > 0
        assert [actor.stat("/").size for actor in guest.actors] == [0] * 8


def test_agent_of_another_version_is_refused() -> None:
    def hello(frame: Frame) -> bytes:
        return _hello_reply(frame, status=Status.UNSUPPORTED)

    with pytest.raises(HarnessError):
        _FakeAgent(HELLO=hello).guest()


def test_machine_without_a_reply_to_ping_is_killed() -> None:
    machine = _FakeAgent(PING=lambda frame: b"")
    with pytest.raises(GuestLostError):
        Guest.booted(cast(Machine, machine))
    assert machine.killed
