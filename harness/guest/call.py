# SPDX-License-Identifier: MIT
"""One batch of system calls made by an actor, from the request to the result."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from harness.errors import (
    ClaimViolatedError,
    DeadlineError,
    GuestCallError,
    GuestLostError,
    ScenarioError,
)
from harness.guest.agent import decoded, encoded
from harness.guest.process import ActorProcess
from harness.timeouts import Deadline
from tsmw.agent import ActorState
from tsmw.constants import ActorPhase, FrameType, Status
from tsmw.ops import Op, OpResult, decode_results, encode_run

__all__ = ["Call", "checked"]

T = TypeVar("T")

_CALL_SECONDS = 20.0
_LOOK_SECONDS = 0.1
_SLEEPING = "DSI"  # the kinds of sleep, proc(5), field 3 of stat: "I" is TASK_IDLE


def checked(results: Sequence[OpResult], what: str) -> Sequence[OpResult]:
    """Return ``results``, or raise the first failure as a :class:`GuestCallError` of ``what``."""
    for result in results:
        if result.err:
            raise GuestCallError(result.err, os.strerror(result.err), what)
    return results


class Call(Generic[T]):
    """A batch that ``actor`` was started on; made by the methods of ``Actor``.

    ``decode`` turns the results of the system calls into the value of :meth:`result`; it may
    raise :class:`OSError`. ``what`` names the batch in messages. ``started_s`` is the host's
    CLOCK_MONOTONIC, ``ops`` the system calls, ``returned`` the results, or None until
    :meth:`results` has received them, ``settled`` whether :meth:`result` has decoded them, and
    ``raised`` what it raised.
    """

    def __init__(
        self,
        actor: ActorProcess,
        ops: Sequence[Op],
        decode: Callable[[Sequence[OpResult]], T],
        what: str,
        *,
        stop_on_error: bool = True,
    ) -> None:
        self.actor = actor
        self.what = what
        self.returned: Sequence[OpResult] | None = None
        self.settled = False
        self.raised: OSError | None = None
        self.ops = tuple(ops)
        self.started_s = time.monotonic()
        self._client = actor.session.client
        self._decode = decode
        payload = encoded(lambda: encode_run(actor.slot, ops, stop_on_error=stop_on_error), what)
        self._id = self._client.send(FrameType.RUN, payload)
        actor.session.running[actor.slot] = self._id

    def __repr__(self) -> str:
        return f"<{self.what} by {self.actor}>"

    def done(self) -> bool:
        """Whether the batch has returned; does not wait."""
        if self.returned is None:
            self._client.poll()
        return self.returned is not None or self._client.has_reply(self._id)

    def results(self, *, seconds: float = _CALL_SECONDS) -> Sequence[OpResult]:
        """The result of each system call; waits ``seconds`` (scaled) for the last one.

        Raises :class:`ActorDiedError` when the actor's process has ended. Raises
        :class:`DeadlineError`, with the actor's place in the kernel, when the batch has not
        returned in time.
        """
        if self.returned is None:
            deadline = self.actor.session.timeouts.deadline(seconds, repr(self))
            self.returned = self._receive(deadline)
        return self.returned

    def results_unless_stuck(self, *, seconds: float, asleep_seconds: float) -> Sequence[OpResult]:
        """Like :meth:`results`, but gives up early on a task that does not run any more.

        The task has then slept for ``asleep_seconds`` (scaled) in one place of the kernel without
        being scheduled, while the guest's agent answered. Raises what :meth:`results` raises.
        """
        timeouts = self.actor.session.timeouts
        deadline = timeouts.deadline(seconds, repr(self))
        asleep = timeouts.deadline(asleep_seconds, f"{self!r} waking up")
        before: tuple[str, str] | None = None
        while not self.done() and not deadline.expired:
            self.actor.raise_if_dead(self.what)
            with suppress(DeadlineError):
                self._client.wait_for_data(timeouts.deadline(_LOOK_SECONDS, repr(self)))
            if self.done():
                break
            state = self.actor.state(deadline)
            place = _place(state) if _sleeping(state) else None
            if place is None or place != before:
                asleep = timeouts.deadline(asleep_seconds, f"{self!r} waking up")
            elif asleep.expired:
                raise DeadlineError(
                    f"{self!r} has slept for {asleep.allowed_s:.1f} s without being scheduled; "
                    f"the actor is {self.actor.describe_state()}"
                )
            before = place
        if not self.done():
            deadline.remaining()
        return self.results()

    def result(self, *, seconds: float = _CALL_SECONDS) -> T:
        """The decoded value; raises what :meth:`results` raises, and the guest's OSError."""
        results = self.results(seconds=seconds)
        self.settled = True
        try:
            return self._decode(results)
        except OSError as error:
            self.raised = error
            raise

    def error(self, *, seconds: float = _CALL_SECONDS) -> int:
        """The errno of the system call that failed, 0 when none did."""
        return next((result.err for result in self.results(seconds=seconds) if result.err), 0)

    def blocked(self) -> bool:
        """Whether the actor sleeps in the kernel at this moment."""
        return not self.done() and _sleeping(self.actor.state())

    def wait_until_blocked(self, function: str = "", *, seconds: float = 10.0) -> ActorState:
        """Wait until two looks find the actor asleep at the same place in the kernel.

        ``function`` must then be in the task's kernel stack or wait channel. Raises
        :class:`ClaimViolatedError` when the batch returned instead of blocking, and what
        :meth:`results` raises when the agent refused the batch or the actor died.
        """
        where = f" in {function}" if function else ""
        deadline = self.actor.session.timeouts.deadline(seconds, f"{self!r} blocking{where}")
        before: tuple[str, str] | None = None
        while True:
            state = self.actor.state(deadline)
            if self.done() or state.phase == ActorPhase.DEAD:
                self.results()
                raise ClaimViolatedError(f"{self!r} returned; it was to block{where}")
            place = _place(state)
            found = not function or function in state.stack or function in state.wchan
            if _sleeping(state) and found and place == before:
                return state
            before = place
            deadline.remaining()

    def _receive(self, deadline: Deadline) -> Sequence[OpResult]:
        try:
            while not self._client.has_reply(self._id):
                self.actor.raise_if_dead(self.what)
                self._client.wait_for_data(deadline)
        except DeadlineError as error:
            raise DeadlineError(f"{error}; the actor is {self.actor.describe_state()}") from None
        frame = self._client.receive(self._id, deadline)
        if frame.status != Status.OK:
            raise ScenarioError(
                f"{self!r} was refused: the actor is busy, dead or not spawned",
                hint="wait for the actor's last call, or spawn() it",
            )
        results = decoded(decode_results, frame.payload)
        failed = any(result.err for result in results)
        if len(results) > len(self.ops) or (len(results) < len(self.ops) and not failed):
            raise GuestLostError(
                "the guest's agent broke the protocol: "
                f"{len(results)} results of {len(self.ops)} calls"
            )
        return results


def _sleeping(state: ActorState) -> bool:
    # The command name, which may contain anything, ends at the last parenthesis; the state
    # follows it.
    fields = state.stat.rpartition(")")[2].split()
    return state.phase == ActorPhase.IN_CALL and bool(fields) and fields[0] in _SLEEPING


def _place(state: ActorState) -> tuple[str, str]:
    """Where a task sleeps, and how often it was scheduled."""
    switches = [line for line in state.status.splitlines() if "ctxt_switches" in line]
    return state.stack or state.wchan, " ".join(switches)
