# SPDX-License-Identifier: MIT
"""Runs a program in a guest, many steps in one message, and collects the outcome of each step."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from harness.errors import ActorDiedError, DeadlineError, KernelSplatError
from harness.explore.calls import MARK, Files, Named, calls_of, reply_bytes
from harness.explore.leftovers import Leftovers
from harness.explore.provider import ScriptedProvider
from harness.explore.tidy import tidy_up
from harness.guest.actor import Actor
from harness.guest.call import Call
from harness.guest.guest import Guest
from harness.guest.process import ActorProcess
from harness.model.check import OverlapOutcome
from harness.model.outcome import CallResult, Outcome, SeenRequest
from harness.model.steps import (
    Behaviour,
    OpenFile,
    Overlap,
    Program,
    ReadAttribute,
    Single,
    Step,
    TidyUp,
)
from providers_sim.gate import Gate
from providers_sim.loop import ProviderLoop
from tsmw.constants import ActorPhase, OpCode
from tsmw.ops import Op, OpResult, decode_stat

__all__ = ["Executor"]

T = TypeVar("T")

_Begun = tuple[Call[tuple[OpResult, ...]], list[str]]

_MAX_REPLY = 40000  # bytes; a frame has 64 KiB, and a read needs room for its whole count
_MAX_CALLS = 400
_SECONDS = 3.0  # for a batch, scaled by calibration; what it does takes milliseconds
_ASLEEP_SECONDS = 1.1  # without being scheduled; longer than a bounded wait of one second
_HOPELESS_SECONDS = 0.2
_ROUND_SECONDS = 0.002  # for each round of a repeated write, which may make a report
_NO_CALLER = -1
_NOBODY = 65534
_NOBODY_SLOT, _FIRST_SLOT = 3, 1
_MARKS_A_STEP = 16


@dataclass
class _Batch:
    """Calls that are made by one message, and the step of each."""

    ops: list[Op] = field(default_factory=list)
    names: list[tuple[int, str]] = field(default_factory=list)
    size: int = 0
    rounds: int = 0

    def add(self, index: int, calls: Sequence[Named], size: int) -> None:
        for name, op in calls:
            self.ops.append(op)
            self.names.append((index, name))
            if op.code is OpCode.REPEAT:
                self.rounds += op.count
        self.size += size


class Executor:
    """Runs one program in ``guest``, whose driver is registered for ``provider``.

    ``outcomes`` has those of the steps that were made; a step that does not return, or that ends
    its caller, is the last one.
    """

    def __init__(
        self,
        guest: Guest,
        loop: ProviderLoop,
        provider: ScriptedProvider,
        leftovers: Leftovers,
    ) -> None:
        self._guest = guest
        self._loop = loop
        self._provider = provider
        self._leftovers = leftovers
        self._files = Files(leftovers.version)
        self._actor = guest.actors[0]
        self._descriptors: dict[str, int] = {}
        self._mark_fd = self._actor.run(Op.open(MARK, os.O_WRONLY), "open of the mark").ret
        self._longest = 0
        self._nobody: Actor | None = None
        self._calls: list[list[CallResult]] = []
        self._stuck: dict[int, str] = {}
        self._died: set[int] = set()
        self._whole: dict[int, Outcome | OverlapOutcome] = {}

    def run(self, program: Program) -> list[Outcome | OverlapOutcome]:
        """Run the program; returns the outcomes of the steps that were made."""
        steps = program.steps
        self._calls = [[] for _ in steps]
        self._script(steps)
        batch = _Batch()
        for index, step in enumerate(steps):
            if isinstance(step, (Overlap, TidyUp)):
                if not self._flush(batch):
                    break
                batch = _Batch()
                if isinstance(step, TidyUp):
                    self._whole[index] = tidy_up(
                        self._guest, self._leftovers, self._secrets(program)
                    )
                else:
                    self._whole[index] = self._overlap(index, step)
                if _ends(step, self._whole[index]):
                    break
                continue
            self._grow(step)
            calls = list(calls_of(step, self._files, self._descriptors, self._longest))
            size = reply_bytes(step, calls, self._longest)
            nobody = isinstance(step, ReadAttribute) and step.nobody
            full = len(batch.ops) + len(calls) > _MAX_CALLS or batch.size + size > _MAX_REPLY
            if full or nobody or isinstance(step, OpenFile):
                if not self._flush(batch):
                    break
                batch = _Batch()
            batch.add(index, [("mark", self._mark(index * _MARKS_A_STEP)), *calls], size)
            if nobody or isinstance(step, OpenFile):
                if not self._flush(batch, nobody=nobody):
                    break
                batch = _Batch()
                self._keep_descriptor(index, step)
        else:
            self._flush(batch)
        return self._outcomes(steps)

    def _secrets(self, program: Program) -> list[bytes]:
        issued = (request.blobs for _, _, request in self._provider.seen)
        return [*program.nonces, *(blobs.outblob for blobs in issued if blobs is not None)]

    def _script(self, steps: Sequence[Step]) -> None:
        for index, step in enumerate(steps):
            parts = step.calls if isinstance(step, Overlap) else (step,)
            for number, part in enumerate(parts):
                behaviour = getattr(part, "behaviour", None)
                if isinstance(behaviour, Behaviour):
                    self._provider.script[index * _MARKS_A_STEP + number] = behaviour

    def _grow(self, step: Single) -> None:
        behaviour = getattr(step, "behaviour", None)
        if isinstance(behaviour, Behaviour):
            self._longest = max(self._longest, *behaviour.lengths)

    def _mark(self, mark: int) -> Op:
        return Op.pwrite(str(mark).encode(), 0, self._mark_fd)

    def _keep_descriptor(self, index: int, step: Single) -> None:
        if isinstance(step, OpenFile):
            opened = next(call for call in self._calls[index] if call.name == "open")
            if not opened.err:
                self._descriptors[step.slot] = opened.ret

    # One message.

    def _flush(self, batch: _Batch, *, nobody: bool = False) -> bool:
        """Make the calls; False when one of them did not return or ended its caller."""
        if not batch.ops:
            return True
        actor, ops = self._actor, batch.ops
        if nobody:
            actor = self._unprivileged()
            self._actor.run(ops[0], "mark")
            ops, batch.names = ops[1:], batch.names[1:]
        call = actor.start(
            ops, tuple, "steps of an exploration", in_timeline=False, stop_on_error=False
        )
        try:
            seconds = _SECONDS + batch.rounds * _ROUND_SECONDS
            results = call.results_unless_stuck(seconds=seconds, asleep_seconds=_ASLEEP_SECONDS)
        except (ActorDiedError, DeadlineError) as error:
            self._broken(actor, batch, died=isinstance(error, ActorDiedError))
            return False
        for (index, name), result in zip(batch.names, results, strict=True):
            if name != "mark":
                self._calls[index].append(_result(name, result))
        return True

    def _broken(self, actor: Actor, batch: _Batch, *, died: bool) -> None:
        index, name = _reached(actor, batch.names)
        for number in {number for number, _ in batch.names if number < index}:
            self._calls[number].append(CallResult("(lost)", 0, 0))
        if died:
            self._died.add(index)
        else:
            self._stuck[index] = f"{name} {actor.describe_state()}"

    def _unprivileged(self) -> Actor:
        if self._nobody is None:
            self._nobody = self._guest.actors[_NOBODY_SLOT]
            self._nobody.kill()
            self._nobody.wait_until_dead()
            self._nobody.spawn(uid=_NOBODY, gid=_NOBODY)
        return self._nobody

    # Calls that overlap.

    def _overlap(self, index: int, step: Overlap) -> OverlapOutcome:
        parts = step.calls
        for part in parts:
            self._grow(part)
        before = len(self._provider.seen)
        actors = [self._guest.actors[_FIRST_SLOT + number] for number in range(len(parts))]
        for actor in actors:
            if actor.state().phase == ActorPhase.DEAD:
                actor.spawn()
        pids = {actor.state().pid: number for number, actor in enumerate(actors)}
        begun: list[_Begun] = []
        with self._loop.hold() as gate:
            spinning: list[str] = []
            killed = False
            for number, (actor, part) in enumerate(zip(actors, parts, strict=True)):
                if number == 1 + len(step.others):
                    killed = self._end(step, actors, begun)
                self._actor.run(self._mark(index * _MARKS_A_STEP + number), "mark")
                begun.append(self._start(actor, part))
                spinning += self._settle(begun[-1], gate if not number else None)
            if len(parts) == 1 + len(step.others):
                killed = self._end(step, actors, begun)
            early = {number for number, (call, _) in enumerate(begun) if call.done()}
        stuck: list[str] = []
        for each in begun:  # once a call is stuck, those that wait for it are, too
            text = self._wait(each, _SECONDS if not stuck else _HOPELESS_SECONDS)
            stuck += [text] if text else []
        if killed:
            stuck += self._wait_until_dead(actors[step.victim])
        outcomes = [self._part(each) for each in begun]
        requests = self._attribute(before, pids)
        outcomes = [
            replace(outcome, requests=tuple(requests.get(number, ())))
            for number, outcome in enumerate(outcomes)
        ]
        first = replace(outcomes[0], stuck=(*stuck, *spinning))
        if killed and not stuck:
            actors[step.victim].spawn()
        foreign = tuple(requests.get(_NO_CALLER, ()))
        return OverlapOutcome(first, tuple(outcomes[1:]), killed, frozenset(early), foreign)

    def _start(self, actor: Actor, part: Single) -> _Begun:
        calls = list(calls_of(part, self._files, self._descriptors, self._longest))
        call = actor.start(
            [op for _, op in calls], tuple, part.text, in_timeline=False, stop_on_error=False
        )
        return call, [name for name, _ in calls]

    def _settle(self, begun: _Begun, gate: Gate | None = None) -> list[str]:
        """Wait until the call has returned, sleeps in the kernel, or its request is held.

        Returns a text when it does none of these.
        """
        call, names = begun
        deadline = self._guest.timeouts.deadline(_SECONDS, repr(call))
        deaths = call.actor.session.deaths
        before: tuple[str, str] | None = None
        while not call.done() and not (gate is not None and gate.arrived):
            state = call.actor.state()
            if call.actor.slot in deaths:
                break
            place = (state.stack or state.wchan, state.status.rpartition("voluntary")[2])
            if gate is None and place == before and call.blocked():
                break
            before = place
            if deadline.expired:
                name = _reached(call.actor, names)
                return [f"{name} neither returns nor sleeps, {call.actor.describe_state()}"]
        return []

    def _end(self, step: Overlap, actors: Sequence[Actor], begun: Sequence[_Begun]) -> bool:
        """Kill or interrupt the victim; whether it was killed."""
        victim, call = actors[step.victim], begun[step.victim]
        if step.ending not in ("kill", "interrupt") or call[0].done():
            return False
        if step.ending == "interrupt":
            self._actor.run(Op.signal(victim.slot, signal.SIGUSR1), "signal")
        else:
            victim.kill()  # it may only end once its request is answered
        self._settle(call)
        return step.ending == "kill"

    @staticmethod
    def _wait_until_dead(actor: Actor) -> list[str]:
        try:
            actor.wait_until_dead(seconds=_SECONDS)
        except DeadlineError:
            return [f"a killed caller {actor.describe_state()}"]
        return []

    def _wait(self, begun: _Begun, seconds: float) -> str:
        call, names = begun
        try:
            call.results_unless_stuck(seconds=seconds, asleep_seconds=_ASLEEP_SECONDS)
        except ActorDiedError:
            return ""
        except DeadlineError:
            return f"{_reached(call.actor, names)} {call.actor.describe_state()}"
        return ""

    @staticmethod
    def _part(begun: _Begun) -> Outcome:
        call, names = begun
        died = call.actor.slot in call.actor.session.deaths
        made = zip(names, call.returned or (), strict=False)
        return Outcome(tuple(_result(name, result) for name, result in made), died=died)

    def _attribute(self, before: int, pids: dict[int, int]) -> dict[int, list[SeenRequest]]:
        """The requests by the part whose caller made them, and those of other tasks."""
        found: dict[int, list[SeenRequest]] = {}
        for _, caller, request in self._provider.seen[before:]:
            number = pids.get(caller, _NO_CALLER)
            found.setdefault(number, []).append(request)
        return found

    # The outcomes.

    def _outcomes(self, steps: Sequence[Step]) -> list[Outcome | OverlapOutcome]:
        requests: dict[int, list[SeenRequest]] = {}
        for mark, _, request in self._provider.seen:
            requests.setdefault(mark // _MARKS_A_STEP, []).append(request)
        outcomes: list[Outcome | OverlapOutcome] = []
        for index in range(len(steps)):
            if index in self._whole:
                outcomes.append(self._whole[index])
                continue
            broken = index in self._stuck or index in self._died
            if not self._calls[index] and not broken:
                break
            stuck = (self._stuck[index],) if index in self._stuck else ()
            outcomes.append(
                Outcome(
                    tuple(self._calls[index]),
                    tuple(requests.get(index, ())),
                    stuck,
                    died=index in self._died,
                )
            )
            if broken:
                break
        return self._with_splats(outcomes)

    def _with_splats(
        self, outcomes: list[Outcome | OverlapOutcome]
    ) -> list[Outcome | OverlapOutcome]:
        try:
            self._guest.log.assert_clean()
        except KernelSplatError as error:
            splats = tuple(str(error).splitlines()[1:])
            last = outcomes[-1] if outcomes else Outcome()
            if isinstance(last, OverlapOutcome):
                changed: Outcome | OverlapOutcome = replace(
                    last, first=replace(last.first, splats=splats)
                )
            else:
                changed = replace(last, splats=splats)
            return [*outcomes[:-1], changed]
        return outcomes


def _reached(actor: ActorProcess, names: Sequence[T]) -> T:
    """The name of the operation of its batch at which an actor is."""
    return names[min(actor.state().op_index, len(names) - 1)]


def _ends(step: Overlap | TidyUp, outcome: Outcome | OverlapOutcome) -> bool:
    if isinstance(step, TidyUp) or isinstance(outcome, Outcome):
        return True
    return bool(outcome.first.stuck) or outcome.lost_caller(step.victim)


def _result(name: str, result: OpResult) -> CallResult:
    if name == "stat" and not result.err:
        return CallResult(name, decode_stat(result.data).mode, 0)
    return CallResult(name, result.ret, result.err, result.data)
