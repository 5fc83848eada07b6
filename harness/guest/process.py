# SPDX-License-Identifier: MIT
"""The process in an actor slot: its start, its state, its end."""

from __future__ import annotations

import os
import signal
from typing import Self

from harness.errors import ActorDiedError, DeadlineError, GuestLostError
from harness.guest.agent import decoded, encoded
from harness.guest.agent_session import AgentSession
from harness.timeouts import Deadline
from tsmw.agent import ActorState, decode_state, encode_spawn
from tsmw.constants import ActorPhase, FrameType
from tsmw.layout import encode_u32

__all__ = ["ActorProcess"]

_SECONDS = 10.0


class ActorProcess:
    """The process that fills the actor slot ``slot``, or the empty slot.

    ``name`` is what messages and the timeline call it.
    """

    def __init__(self, session: AgentSession, slot: int) -> None:
        self.session = session
        self.slot = slot
        self.name = f"actor {slot}"

    def __repr__(self) -> str:
        return self.name

    def named(self, name: str) -> Self:
        """Return this actor; messages and the timeline call it ``name`` from now on."""
        self.name = name
        return self

    def spawn(self, *, uid: int = 0, gid: int = 0, cpu: int = -1, priority: int = 0) -> None:
        """Start a process in the empty slot, as this user, bound to ``cpu`` or to none (-1).

        ``priority`` 1..99 is a SCHED_FIFO priority: from its wake-up on, the process runs before
        every SCHED_OTHER task of its processor. -1 means SCHED_IDLE: it runs after all of them.
        """
        what = f"starting {self!r}"
        payload = encoded(lambda: encode_spawn(self.slot, uid, gid, cpu, priority), what)
        self.session.request(FrameType.SPAWN, payload, what, seconds=_SECONDS)
        self.session.deaths.pop(self.slot, None)

    def kill(self) -> None:
        """Send SIGKILL. A process that sleeps uninterruptibly ends only after its system call."""
        slot = encode_u32("KILL", self.slot)
        self.session.request(FrameType.KILL, slot, f"killing {self!r}", seconds=_SECONDS)

    def wait_until_dead(self, *, seconds: float = _SECONDS) -> int:
        """Wait until the process has ended; returns its wait status."""
        deadline = self.session.timeouts.deadline(seconds, f"the end of {self!r}")
        while self.slot not in self.session.deaths:
            self.session.client.wait_for_data(deadline)
        return self.session.deaths[self.slot]

    def raise_if_dead(self, what: str) -> None:
        """Raise :class:`ActorDiedError`, naming the call ``what``, if the process has ended."""
        status = self.session.deaths.get(self.slot)
        if status is not None:
            raise ActorDiedError(f"{self!r} died in {what} ({_ending(status)})", status)

    def state(self, deadline: Deadline | None = None) -> ActorState:
        """The process's phase, and the files about its task in ``/proc``."""
        deadline = deadline or self.session.timeouts.deadline(_SECONDS, f"the state of {self!r}")
        slot = encode_u32("STATE", self.slot)
        payload = self.session.ask(FrameType.STATE, slot, deadline)
        return decoded(decode_state, payload)

    def describe_state(self) -> str:
        """One line for a message: idle, dead, or the kernel function the process is in."""
        try:
            state = self.state()
        except (DeadlineError, GuestLostError):
            return "in a guest that does not answer"
        if state.phase != ActorPhase.IN_CALL:
            return state.phase.name.lower()
        first = state.stack.strip().splitlines()[:1]
        place = first[0].strip() if first else state.wchan or "an unknown place"
        return f"in the kernel at {place}"


def _ending(wait_status: int) -> str:
    if not os.WIFSIGNALED(wait_status):
        return f"exit status {os.WEXITSTATUS(wait_status)}"
    number = os.WTERMSIG(wait_status)
    try:
        return f"signal {signal.Signals(number).name}"
    except ValueError:  # Python names only the first and the last real-time signal
        return f"signal {number}"
