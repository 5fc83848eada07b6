# SPDX-License-Identifier: MIT
"""A guest that answers: a machine, a session with its agent, and what belongs to both."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import statistics
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from harness.errors import DeadlineError, GuestLostError, HarnessError, TsmHarnessError
from harness.guest.actor import Actor
from harness.guest.agent import AgentClient
from harness.guest.call import Call
from harness.oracle.kernel_log import KernelLog
from harness.qemu.machine import Machine
from harness.timeouts import Deadline, Timeouts
from providers_sim.loop import ProviderLoop
from providers_sim.provider import AnyProvider
from tsmw.agent import AgentHello, LogBatch
from tsmw.constants import FrameType
from tsmw.errors import WireError

__all__ = ["Guest"]

_BOOT_SECONDS = 40.0
_ANSWER_SECONDS = 20.0
_GREETING_SECONDS = 1.0  # then it is repeated, and twice as long is waited
_ENTROPY = 64  # bytes
_PINGS = 21
_CALLS_KEPT = 200


class Guest:
    """Owns a machine whose agent answers; use it as a context manager.

    ``actors`` are the agent's actor slots, ``log`` the kernel log since boot, ``timeouts`` the
    guest's measured slowness, ``open_calls`` the calls whose outcome nobody asked for yet,
    ``calls`` the latest of all, ``provider`` the loop that serves the guest now, ``providers``
    all that ever did. Raises
    :class:`GuestLostError` when the machine ends or its agent stays mute for longer than
    ``seconds``.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        seconds: float = _ANSWER_SECONDS,
        timeouts: Timeouts | None = None,
        connection: socket.socket | None = None,
    ) -> None:
        self.machine = machine
        self.timeouts = timeouts or Timeouts()
        self.actors: tuple[Actor, ...] = ()
        self.log = KernelLog(sync=self._sync_log)
        self.provider: ProviderLoop | None = None
        self.providers: list[ProviderLoop] = []
        self.open_calls: dict[int, Call[Any]] = {}
        self.calls: deque[Call[Any]] = deque(maxlen=_CALLS_KEPT)
        try:
            self.agent = AgentClient(
                connection or machine.connect("agent"),
                on_log=self._take_log,
                on_death=self._actor_died,
                last_words=machine.last_words,
            )
            self._begin(seconds)
        except BaseException:
            machine.kill()
            raise

    @classmethod
    def booted(cls, machine: Machine) -> Guest:
        """Wait for a cold boot to become ready, and measure how fast the guest answers."""
        guest = cls(machine, seconds=_BOOT_SECONDS)
        try:
            guest.timeouts = Timeouts.calibrated(guest.ping())
        except BaseException:
            machine.kill()
            raise
        return guest

    def _begin(self, seconds: float) -> None:
        deadline = self.timeouts.deadline(seconds, "the first answer of the guest's agent")
        timeouts = _GREETING_SECONDS
        while True:
            # A clone may be about to learn that its template's host left. When it learns that after
            # the new host's greeting, it drops its answer, and has to be greeted again.
            try:
                hello = self._greet(self.timeouts.deadline(timeouts, deadline.what))
                break
            except DeadlineError:
                timeouts = min(2 * timeouts, deadline.remaining() / self.timeouts.scale)
        self.kernel_release = hello.kernel_release
        self.actors = tuple(Actor(self, slot) for slot in range(hello.actors))

    def _greet(self, deadline: Deadline) -> AgentHello:
        # A clone wakes up with its template's clock and random state: both are replaced before
        # anything else runs, in the same flight as the greeting.
        greeting = self.agent.greet()
        now = time.time_ns().to_bytes(8, "little")
        reseed = self.agent.send(FrameType.RESEED, now + secrets.token_bytes(_ENTROPY))
        hello = self.agent.greeted(greeting, deadline)
        self.agent.receive(reseed, deadline)
        return hello

    def ping(self) -> float:
        """The median round trip of a 64-byte message, in seconds."""
        deadline = self.timeouts.deadline(_ANSWER_SECONDS, "the answer to a ping")
        times = []
        for _ in range(_PINGS):
            start = time.perf_counter()
            self.agent.call(FrameType.PING, bytes(64), deadline)
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    def attach(self, provider: AnyProvider, *, request_timeout_ms: int | None = 0) -> ProviderLoop:
        """Serve ``provider`` on the provider port until the guest is closed or detached.

        ``request_timeout_ms`` is how long the driver waits for an answer: 0 for ever, so that a
        slow host shows as a deadline of the harness and not as a failure of the guest's; None
        the driver's own default.
        """
        another = bool(self.providers)
        if another:
            # The relay may not have noticed that the last host left: with a new one there at
            # once, the guest would go on with the old session. Nor may the kernel have, when the
            # next relay starts: then its HELLO went to nobody, and is asked for again.
            self.detach()
            self.relay(start=False)
            self.relay(start=True)
        loop = ProviderLoop(
            provider,
            self.machine.connect("provider"),
            time_scale=self.timeouts.scale,
            request_timeout_ms=request_timeout_ms,
            reset=another,
        )
        self.provider = loop
        self.providers.append(loop)
        return loop

    def adopt(
        self, provider: AnyProvider, connection: socket.socket, state: Mapping[str, Any]
    ) -> ProviderLoop:
        """Serve ``provider`` on a connection made before, in the session that ``state`` has."""
        loop = ProviderLoop(
            provider, connection, time_scale=self.timeouts.scale, request_timeout_ms=0, resume=state
        )
        self.provider = loop
        self.providers.append(loop)
        return loop

    def detach(self) -> None:
        """Close the provider port: the guest sees its host go away."""
        if self.provider is not None:
            self.provider.close()
            self.provider = None

    def relay(self, *, start: bool) -> None:
        """Start or stop the pump between the provider device and the provider port."""
        deadline = self.timeouts.deadline(_ANSWER_SECONDS, "the relay's start or stop")
        self.agent.call(FrameType.RELAY, int(start).to_bytes(4, "little"), deadline)

    def settle(self) -> None:
        """Take in the outcome of calls that have returned and that nobody asked about."""
        try:
            self.agent.poll()
        except GuestLostError:
            return  # whoever asks for one of them will be told
        for call in list(self.open_calls.values()):
            with contextlib.suppress(OSError, TsmHarnessError):
                if call.done():
                    call.result()

    def protocol_error(self, error: WireError | str) -> HarnessError:
        """What a malformed answer of the agent means."""
        return GuestLostError(f"the guest's agent broke the protocol: {error}")

    def close(self) -> None:
        """End the provider, the session and the machine, and remove the machine's files."""
        self.machine.kill()
        self.detach()
        self.agent.close()
        shutil.rmtree(self.machine.directory, ignore_errors=True)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _sync_log(self) -> None:
        deadline = self.timeouts.deadline(_ANSWER_SECONDS, "the rest of the kernel log")
        self.agent.call(FrameType.LOG_SYNC, b"", deadline)

    def _take_log(self, batch: LogBatch) -> None:
        self.log.feed(batch.records, lost=batch.lost)

    def _actor_died(self, slot: int, wait_status: int) -> None:
        if slot < len(self.actors):
            self.actors[slot].died(wait_status)
