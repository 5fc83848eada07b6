# SPDX-License-Identifier: MIT
"""The host's end of the agent port: requests and replies as TSMW frames (:mod:`tsmw`).

The thread that waits for a reply reads it from the socket itself; a reader thread would add its
wake-up to every round trip. A client therefore belongs to one thread. Whatever the guest sends,
the client raises only :class:`GuestLostError` and keeps a bounded amount of it.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable
from typing import TypeVar

from harness.errors import GuestLostError, ScenarioError
from harness.timeouts import Deadline
from tsmw import agent as messages
from tsmw.constants import REPLY, VERSION, FrameType, Status
from tsmw.errors import WireError
from tsmw.frame import Frame, FrameParser, encode_frame

__all__ = ["AgentClient", "decoded", "encoded"]

T = TypeVar("T")

_MAX_PENDING = 256
_RECEIVE_BYTES = 1 << 17
_POLL_RECEIVES = 64
_MAX_ASKED_FOR_DAMAGE = 4  # a guest that sends noise without end is asked no more often
_SEND_SECONDS = 30.0  # sendall() takes longer only if the guest no longer reads its port


def decoded(decode: Callable[[bytes], T], payload: bytes, sender: str = "the guest's agent") -> T:
    """``decode(payload)``; raises :class:`GuestLostError` when the payload is malformed."""
    try:
        return decode(payload)
    except WireError as error:
        raise GuestLostError(f"{sender} broke the protocol: {error}") from error


def encoded(encode: Callable[[], bytes], what: str) -> bytes:
    """``encode()``; raises :class:`ScenarioError` when a value of ``what`` does not fit."""
    try:
        return encode()
    except WireError as error:
        raise ScenarioError(f"{what}: {error}") from error


class AgentClient:
    """Sends requests to the agent and receives its replies and events.

    ``on_log`` receives every batch of kernel log records, ``on_death`` an actor's slot and its
    wait status. ``exit_text`` is appended to the error that reports a lost connection.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        on_log: Callable[[messages.LogBatch], None],
        on_death: Callable[[int, int], None],
        exit_text: Callable[[], str] = lambda: "",
    ) -> None:
        self._socket = connection
        self._on_log = on_log
        self._on_death = on_death
        self._exit_text = exit_text
        self._parser = FrameParser()
        self._session = 0
        self._next_id = 1
        self._replies: dict[int, Frame] = {}
        self._awaited: set[int] = set()

    def send_hello(self) -> int:
        """Ask for a new session and return the request id.

        Frames of any other session are dropped from now on.
        """
        self._session = secrets.randbits(31) + 1
        return self.send(FrameType.HELLO, messages.encode_agent_hello(self._session))

    def receive_hello(self, ident: int, deadline: Deadline) -> messages.AgentHello:
        """The agent's reply to the :meth:`send_hello` of that id."""
        frame = self.receive(ident, deadline)
        if frame.status != Status.OK:
            raise GuestLostError(f"the guest's agent refused version {VERSION} of the protocol")
        hello = decoded(messages.decode_agent_hello_reply, frame.payload)
        if hello.nonce != self._session:
            raise GuestLostError("the guest's agent replied to the HELLO of another session")
        return hello

    def send(self, kind: int, payload: bytes = b"") -> int:
        """Send a request; returns its id, for :meth:`receive`."""
        if len(self._awaited) >= _MAX_PENDING:
            raise ScenarioError(
                f"more than {_MAX_PENDING} requests to the guest are outstanding",
                hint="wait for the results of earlier calls",
            )
        ident = self._next_id
        self._next_id += 1
        self._awaited.add(ident)
        try:
            self._socket.settimeout(_SEND_SECONDS)
            self._socket.sendall(encode_frame(Frame(kind, 0, self._session, ident, 0, payload)))
        except OSError as error:
            raise self._lost(error) from error
        return ident

    def receive(self, ident: int, deadline: Deadline) -> Frame:
        """The reply to request ``ident``; raises :class:`DeadlineError` when it is late."""
        while ident not in self._replies:
            self.wait_for_data(deadline)
        return self._replies.pop(ident)

    def has_reply(self, ident: int) -> bool:
        """Whether the reply to request ``ident`` has been received."""
        return ident in self._replies

    def forget(self, ident: int) -> None:
        """No longer expect the reply to request ``ident``."""
        self._awaited.discard(ident)

    def poll(self) -> None:
        """Receive what has arrived, without waiting; returns also if the guest keeps sending."""
        self._socket.settimeout(0)
        for _ in range(_POLL_RECEIVES):
            if not self._receive_data():
                return

    def call(self, kind: int, payload: bytes, deadline: Deadline) -> bytes:
        """Send a request and return the payload of its reply; raises if the agent refuses it."""
        return _accepted(kind, self.receive(self.send(kind, payload), deadline))

    def ask(self, kind: int, payload: bytes, deadline: Deadline, *, patience_s: float) -> bytes:
        """Like :meth:`call`, for a request that changes nothing in the guest.

        It is sent again when bytes of the guest arrived damaged, and after each ``patience_s``
        seconds of silence: a defect under test may overwrite the buffer that holds the reply.
        BUSY means that the agent still works on the request that was sent before.
        """
        asked: list[int] = []
        while True:
            asked.append(self.send(kind, payload))
            damage, again_at = self._parser.damage, time.monotonic() + patience_s
            while time.monotonic() < again_at and (
                self._parser.damage == damage or len(asked) > _MAX_ASKED_FOR_DAMAGE
            ):
                replies = [self._replies.pop(each) for each in asked if each in self._replies]
                if settled := [each for each in replies if each.status != Status.BUSY]:
                    self._awaited.difference_update(asked)
                    return _accepted(kind, settled[0])
                self._wait(min(deadline.remaining(), again_at - time.monotonic()))
            deadline.remaining()

    def wait_for_data(self, deadline: Deadline) -> None:
        """Wait until the guest sends something, and receive it."""
        if not self._wait(deadline.remaining()):
            deadline.remaining()

    def _wait(self, seconds: float) -> bool:
        self._socket.settimeout(max(seconds, 0.001))
        return self._receive_data()

    def raw(self) -> socket.socket:
        """The connection itself, for the benchmark's echo; no frame may be in flight."""
        return self._socket

    def close(self) -> None:
        """Close the connection; the agent ends the session."""
        self._socket.close()

    def _receive_data(self) -> bool:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            raise self._lost(error) from error
        if not data:
            raise self._lost(None)
        for frame in self._parser.feed(data):
            self._dispatch(frame)
        return True

    def _dispatch(self, frame: Frame) -> None:
        if frame.session != self._session:
            return
        if frame.type & REPLY:
            if frame.id in self._awaited:
                self._awaited.discard(frame.id)
                self._replies[frame.id] = frame
        elif frame.type == FrameType.LOG:
            self._on_log(decoded(messages.decode_log, frame.payload))
        elif frame.type == FrameType.ACTOR_DIED and len(frame.payload) == 8:
            slot = int.from_bytes(frame.payload[:4], "little")
            self._on_death(slot, int.from_bytes(frame.payload[4:], "little", signed=True))

    def _lost(self, error: OSError | None) -> GuestLostError:
        why = f" ({error.strerror})" if error is not None and error.strerror else ""
        return GuestLostError(f"the connection to the guest ended{why}{self._exit_text()}")


def _accepted(kind: int, frame: Frame) -> bytes:
    if frame.status != Status.OK:
        name = Status(frame.status).name if frame.status in set(Status) else frame.status
        raise ScenarioError(f"the guest's agent refused {FrameType(kind).name}: {name}")
    return frame.payload
