# SPDX-License-Identifier: MIT
"""One session with a guest's agent: what actors and their calls need of the guest."""

from __future__ import annotations

import secrets
import socket
import statistics
import time
from collections.abc import Callable

from harness.guest.agent import AgentClient
from harness.oracle.kernel_log import KernelLog
from harness.timeouts import Deadline, Timeouts
from tsmw.agent import AgentHello, LogBatch
from tsmw.constants import FrameType

__all__ = ["REPLY_SECONDS", "AgentSession"]

REPLY_SECONDS = 20.0
"""How long the agent may take to reply to a request that it does not have to wait for."""

_ENTROPY_BYTES = 64
_PINGS = 21
_PATIENCE_SECONDS = 0.5


class AgentSession:
    """A session that was opened by HELLO.

    ``client`` carries the frames. ``timeouts`` scales deadlines to the guest's measured speed.
    ``log`` is the kernel log since boot. ``slots`` is the number of actor slots, and ``deaths``
    has the wait status of each actor whose process has ended, by slot; ``running`` has the last
    request to run calls of each. Raises
    :class:`GuestLostError` when the connection ends, and :class:`DeadlineError` when the agent
    does not reply within ``seconds``.
    """

    def __init__(
        self,
        connection: socket.socket,
        timeouts: Timeouts,
        *,
        seconds: float,
        exit_text: Callable[[], str] = lambda: "",
    ) -> None:
        self.timeouts = timeouts
        self.log = KernelLog(sync=self._sync_log)
        self.deaths: dict[int, int] = {}
        self.slots = 0
        self.running: dict[int, int] = {}
        self.client = AgentClient(
            connection, on_log=self._feed_log, on_death=self._record_death, exit_text=exit_text
        )
        hello = self._open(seconds)
        self.slots = hello.actors
        self.kernel_release = hello.kernel_release

    def _open(self, seconds: float) -> AgentHello:
        # A clone has its template's clock and random state. RESEED replaces both before any other
        # request, and is sent together with HELLO to save a round trip.
        deadline = self.timeouts.deadline(seconds, "the first answer of the guest's agent")
        hello = self.client.send_hello()
        now = time.time_ns().to_bytes(8, "little")
        reseed = self.client.send(FrameType.RESEED, now + secrets.token_bytes(_ENTROPY_BYTES))
        answer = self.client.receive_hello(hello, deadline)
        self.client.receive(reseed, deadline)
        return answer

    def request(
        self, kind: FrameType, payload: bytes, what: str, *, seconds: float = REPLY_SECONDS
    ) -> bytes:
        """Send a request and return its reply's payload; ``what`` names the wait in messages."""
        return self.client.call(kind, payload, self.timeouts.deadline(seconds, what))

    def ask(self, kind: FrameType, payload: bytes, deadline: Deadline) -> bytes:
        """Send a request that changes nothing; it is sent again while no intact reply comes."""
        patience_s = self.timeouts.scaled(_PATIENCE_SECONDS)
        return self.client.ask(kind, payload, deadline, patience_s=patience_s)

    def ping(self) -> float:
        """The median round trip of a 64-byte message, in seconds."""
        deadline = self.timeouts.deadline(REPLY_SECONDS, "the answer to a ping")
        times = []
        for _ in range(_PINGS):
            start = time.perf_counter()
            self.client.call(FrameType.PING, bytes(64), deadline)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def _sync_log(self) -> None:
        deadline = self.timeouts.deadline(REPLY_SECONDS, "the rest of the kernel log")
        self.ask(FrameType.LOG_SYNC, b"", deadline)

    def _feed_log(self, batch: LogBatch) -> None:
        self.log.feed(batch.records, lost=batch.lost)

    def _record_death(self, slot: int, wait_status: int) -> None:
        if slot < self.slots:
            self.deaths[slot] = wait_status
            if slot in self.running:  # a dead process sends no reply
                self.client.forget(self.running.pop(slot))
