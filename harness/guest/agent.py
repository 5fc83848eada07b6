# SPDX-License-Identifier: MIT
"""The host's end of the agent port.

Requests and replies are TSMW frames (:mod:`tsmw`). A reply is read by whoever
waits for it, without a thread in between: that keeps a round trip near the port's own cost. The
client therefore belongs to one thread. Nothing the guest sends can make it raise anything but
:class:`GuestLostError`, or grow without bound.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import TypeVar

from harness.errors import GuestLostError, ScenarioError
from harness.timeouts import Deadline
from tsmw import agent as messages
from tsmw.constants import REPLY, VERSION, FrameType, Status
from tsmw.errors import WireError
from tsmw.frame import Frame, FrameParser, encode_frame

__all__ = ["AgentClient"]

T = TypeVar("T")

_MAX_PENDING = 256
_RECEIVE = 1 << 17
_POLL_RECEIVES = 64
_SEND_SECONDS = 30.0  # only a guest that stopped reading for good gets here


class AgentClient:
    """One session with the agent in the guest.

    ``on_log`` receives every batch of kernel log records, ``on_death`` an actor's slot and wait
    status. ``last_words`` explains a lost connection (how QEMU ended, what it printed).
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        on_log: Callable[[messages.LogBatch], None],
        on_death: Callable[[int, int], None],
        last_words: Callable[[], str] = lambda: "",
    ) -> None:
        self._socket = connection
        self._on_log = on_log
        self._on_death = on_death
        self._last_words = last_words
        self._parser = FrameParser()
        self._session = 0
        self._next_id = 1
        self._replies: dict[int, Frame] = {}
        self._awaited: set[int] = set()

    def greet(self) -> int:
        """Ask for a new session; everything the guest sends before it agrees is dropped."""
        self._session = secrets.randbits(31) + 1
        return self.send(FrameType.HELLO, messages.encode_agent_hello(self._session))

    def greeted(self, ident: int, deadline: Deadline) -> messages.AgentHello:
        """The agent's answer to :meth:`greet`."""
        frame = self.receive(ident, deadline)
        if frame.status != Status.OK:
            raise GuestLostError(f"the guest's agent refused version {VERSION} of the protocol")
        answer = self._decoded(messages.decode_agent_hello_reply, frame.payload)
        if answer.nonce != self._session:
            raise GuestLostError("the guest's agent answered somebody else's greeting")
        return answer

    def send(self, kind: int, payload: bytes = b"") -> int:
        """Send a request and return its id, to :meth:`receive` the reply with."""
        if len(self._awaited) >= _MAX_PENDING:
            raise ScenarioError(f"more than {_MAX_PENDING} requests to the guest are outstanding")
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
            self.wait_for_news(deadline)
        return self._replies.pop(ident)

    def arrived(self, ident: int) -> bool:
        """Whether the reply to ``ident`` has been taken in already."""
        return ident in self._replies

    def poll(self) -> None:
        """Take in what has arrived, without waiting, also for a guest that never stops sending."""
        self._socket.settimeout(0)
        for _ in range(_POLL_RECEIVES):
            if not self._take_in():
                return

    def call(self, kind: int, payload: bytes, deadline: Deadline) -> bytes:
        """Send a request and wait for its successful reply's payload."""
        frame = self.receive(self.send(kind, payload), deadline)
        if frame.status != Status.OK:
            name = Status(frame.status).name if frame.status in set(Status) else frame.status
            raise ScenarioError(f"the guest's agent refused {FrameType(kind).name}: {name}")
        return frame.payload

    def wait_for_news(self, deadline: Deadline) -> None:
        """Wait until the guest has sent something, and take it in."""
        self._socket.settimeout(deadline.remaining())
        if not self._take_in():
            deadline.remaining()

    def forget(self, ident: int) -> None:
        """Nobody will ask for this reply any more."""
        self._awaited.discard(ident)
        self._replies.pop(ident, None)

    def raw(self) -> socket.socket:
        """The connection itself, for the benchmark's echo; no frame may be in flight."""
        return self._socket

    def close(self) -> None:
        """End the session."""
        self._socket.close()

    def _take_in(self) -> bool:
        try:
            data = self._socket.recv(_RECEIVE)
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
            self._on_log(self._decoded(messages.decode_log, frame.payload))
        elif frame.type == FrameType.ACTOR_DIED and len(frame.payload) == 8:
            slot = int.from_bytes(frame.payload[:4], "little")
            self._on_death(slot, int.from_bytes(frame.payload[4:], "little", signed=True))

    def _decoded(self, decode: Callable[[bytes], T], payload: bytes) -> T:
        try:
            return decode(payload)
        except WireError as error:
            raise GuestLostError(f"the guest's agent broke the protocol: {error}") from error

    def _lost(self, error: OSError | None) -> GuestLostError:
        why = f" ({error.strerror})" if error is not None and error.strerror else ""
        return GuestLostError(f"the connection to the guest ended{why}{self._last_words()}")
