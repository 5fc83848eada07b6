# SPDX-License-Identifier: MIT
"""A batch of system calls that an actor was told to make, from the order to the outcome."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from harness.errors import ClaimViolatedError, DeadlineError, GuestCallError, ScenarioError
from harness.report.timeline import Span
from harness.timeouts import Deadline
from tsmw.agent import ActorState
from tsmw.constants import ActorPhase, FrameType, Status
from tsmw.errors import WireError
from tsmw.ops import Op, OpResult, decode_results, encode_run

if TYPE_CHECKING:
    from harness.guest.actor import Actor

__all__ = ["Call", "checked", "spans"]

T = TypeVar("T")

_CALL_SECONDS = 20.0
_PROC = " /proc"
_SLEEPING = "DS"  # uninterruptible and interruptible sleep, proc(5), field 3 of stat


def checked(results: Sequence[OpResult], what: str) -> Sequence[OpResult]:
    """Return ``results``, or raise the first failure as :class:`GuestCallError`."""
    for result in results:
        if result.err:
            raise GuestCallError(result.err, os.strerror(result.err), what)
    return results


def spans(calls: Iterable[Call[Any]]) -> list[Span]:
    """The calls of one guest for a timeline, its clock set by the call that came through first."""
    made = list(calls)
    ahead = min((one for call in made if (one := call.ahead()) is not None), default=0.0)
    return [call.span(ahead) for call in made]


class Call(Generic[T]):
    """What an actor is doing, or did; made by the methods of :class:`Actor`.

    ``decode`` turns the results of the single calls into the value of :meth:`result`; it may
    raise :class:`OSError`. ``what`` names the call in messages.
    """

    def __init__(
        self,
        actor: Actor,
        ops: Sequence[Op],
        decode: Callable[[Sequence[OpResult]], T],
        what: str,
    ) -> None:
        self.actor = actor
        self.what = what
        self._decode = decode
        self._results: Sequence[OpResult] | None = None
        self._count = len(ops)
        self.begun = time.monotonic()
        try:
            payload = encode_run(actor.slot, ops, stop_on_error=True)
        except WireError as error:
            raise ScenarioError(f"{what}: {error}") from error
        self._id = actor.guest.agent.send(FrameType.RUN, payload)
        actor.guest.open_calls[self._id] = self
        if _PROC not in what:  # what a scenario asks the kernel about itself is no part of it
            actor.guest.calls.append(self)

    def __repr__(self) -> str:
        return f"<{self.what} by {self.actor}>"

    def done(self) -> bool:
        """Whether the call has returned, without waiting."""
        if self._results is None:
            self.actor.guest.agent.poll()
        return self._results is not None or self.actor.guest.agent.arrived(self._id)

    def results(self, *, seconds: float = _CALL_SECONDS) -> Sequence[OpResult]:
        """Every system call's own result, waiting ``seconds`` (scaled) for the last one.

        Raises :class:`ActorDiedError` when the actor's process ended instead, and
        :class:`DeadlineError` when the call is still in the kernel, with where it is.
        """
        if self._results is None:
            self._results = self._collect(self.actor.guest.timeouts.deadline(seconds, repr(self)))
        return self._results

    def result(self, *, seconds: float = _CALL_SECONDS) -> T:
        """The call's value; raises :class:`OSError` with the errno the guest saw."""
        results = self.results(seconds=seconds)
        self.actor.guest.open_calls.pop(self._id, None)
        return self._decode(results)

    def error(self, *, seconds: float = _CALL_SECONDS) -> int:
        """The errno the call ended with, 0 when it succeeded."""
        return next((result.err for result in self.results(seconds=seconds) if result.err), 0)

    def ahead(self) -> float | None:
        """How far the guest's clock was ahead when the call began, in seconds, at the most."""
        return self._results[0].start_ns / 1e9 - self.begun if self._results else None

    def span(self, ahead: float) -> Span:
        """The call as a timeline shows it, with the guest's clock ``ahead`` of the host's."""
        lane, results = repr(self.actor), self._results
        if not results:
            return Span(lane, self.what, self.begun, None, "has not returned")
        failed = next((one.err for one in results if one.err), 0)
        outcome = errno.errorcode.get(failed, str(failed)) if failed else "ok"
        begin = max(results[0].start_ns / 1e9 - ahead, self.begun)
        end = max(results[-1].end_ns / 1e9 - ahead, begin)
        return Span(lane, self.what, begin, end, outcome)

    def blocked(self) -> bool:
        """Whether the call sleeps in the kernel at this moment."""
        return not self.done() and _sleeping(self.actor.state())

    def wait_until_blocked(self, function: str = "", *, seconds: float = 10.0) -> ActorState:
        """Wait until the call sleeps in the kernel, seen twice at the same place.

        ``function`` must then appear in the task's kernel stack or wait channel. Raises
        :class:`ClaimViolatedError` when the call returned instead of blocking, and what
        :meth:`results` raises when it was refused or its actor died.
        """
        where = f" in {function}" if function else ""
        deadline = self.actor.guest.timeouts.deadline(seconds, f"{self!r} blocking{where}")
        before: tuple[str, str] | None = None
        while True:
            state = self.actor.state(deadline)
            if self.done() or state.phase == ActorPhase.DEAD:
                self.results()
                raise ClaimViolatedError(f"{self!r} returned; it was to block{where}")
            place = (state.stack or state.wchan, _switches(state.status))
            found = not function or function in state.stack or function in state.wchan
            if _sleeping(state) and found and place == before:
                return state
            before = place
            deadline.remaining()

    def _collect(self, deadline: Deadline) -> Sequence[OpResult]:
        guest = self.actor.guest
        try:
            while not guest.agent.arrived(self._id):
                self.actor.raise_if_dead(self.what)
                guest.agent.wait_for_news(deadline)
        except DeadlineError as error:
            place = self.actor.whereabouts()
            raise DeadlineError(f"{error}; the actor is {place}") from None
        frame = guest.agent.receive(self._id, deadline)
        if frame.status != Status.OK:
            raise ScenarioError(f"{self!r} was refused: the actor is busy, dead or not spawned")
        try:
            results = decode_results(frame.payload)
        except WireError as error:
            raise guest.protocol_error(error) from error
        failed = any(result.err for result in results)
        if len(results) > self._count or (len(results) < self._count and not failed):
            raise guest.protocol_error(f"{len(results)} results of {self._count} calls")
        return results


def _sleeping(state: ActorState) -> bool:
    # The command name may hold anything, so the state follows the last parenthesis.
    fields = state.stat.rpartition(")")[2].split()
    return state.phase == ActorPhase.IN_CALL and bool(fields) and fields[0] in _SLEEPING


def _switches(status: str) -> str:
    return " ".join(line for line in status.splitlines() if "ctxt_switches" in line)
