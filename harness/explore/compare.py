# SPDX-License-Identifier: MIT
"""Compares the outcomes of a program with the model."""

from __future__ import annotations

import errno
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace

from harness.detectors import SplatKind
from harness.explore.provider import ALL_ATTRIBUTES, ALL_BLOBS, NAME
from harness.model.check import Model, OverlapOutcome, left_too_early
from harness.model.deviations import DEVIATIONS
from harness.model.outcome import Outcome
from harness.model.steps import Overlap, Program, Return, Step
from harness.model.world import World, state_class

__all__ = ["FIRST_PROVIDER", "Comparison", "Disagreement", "Transition", "compare"]

_OF_PROGRESS = {
    kind.value
    for kind in (
        SplatKind.HUNG_TASK,
        SplatKind.LOCKUP,
        SplatKind.RCU_STALL,
        SplatKind.LOCKDEP,
        SplatKind.LOCK_LEAK,
        SplatKind.SLEEPING,
        SplatKind.SPINLOCK,
    )
}
_OF_MEMORY = {
    kind.value
    for kind in (
        SplatKind.KASAN,
        SplatKind.KMSAN,
        SplatKind.SLUB,
        SplatKind.KFENCE,
        SplatKind.VFREE,
        SplatKind.LARGE_KMALLOC,
        SplatKind.REFCOUNT,
        SplatKind.LIST_CORRUPTION,
        SplatKind.BAD_PAGE,
        SplatKind.KMEMLEAK,
        SplatKind.ODEBUG,
    )
}

_BUSY = (errno.EBUSY, errno.EAGAIN, errno.EDEADLK)

FIRST_PROVIDER = Return(NAME, 0, ALL_ATTRIBUTES, ALL_BLOBS)
"""The provider that is registered when a program begins."""


@dataclass(frozen=True, order=True)
class Transition:
    """A class of state, an operation on an attribute, and a class of values."""

    state: str
    operation: str
    attribute: str
    value: str


@dataclass(frozen=True)
class Disagreement:
    """The first step whose outcome the model does not allow.

    ``worlds`` are the states before it. ``known`` are the claims that describe the deviation.
    """

    index: int
    step: Step
    outcome: Outcome | OverlapOutcome
    worlds: tuple[World, ...]
    known: tuple[str, ...] = ()

    @property
    def claim(self) -> str:
        """The claim that it violates.

        M3 if a call does not return or a lock is misused, M2 if something is kept or memory is
        misused, else M1.
        """
        return _claim_of(self.step, self.outcome)


@dataclass
class Comparison:
    """What a program has shown."""

    disagreement: Disagreement | None = None
    visited: set[Transition] = field(default_factory=set)
    steps: int = 0


def compare(
    model: Model,
    program: Program,
    outcomes: Sequence[Outcome | OverlapOutcome],
    claims: Container[str] = ("M1", "M2", "M3"),
) -> Comparison:
    """Follow the model along the outcomes, up to the first that it does not allow.

    A disagreement about another claim than ``claims`` is passed over: from there on the state is
    not known, and only calls that do not return, splats and what is kept are looked at.
    """
    comparison = Comparison()
    worlds: tuple[World, ...] = (model.start(FIRST_PROVIDER),)
    lost = _broken(outcomes[-1]) if outcomes else False
    for index, (step, outcome) in enumerate(zip(program.steps, outcomes, strict=False)):
        _visit(comparison, worlds, step)
        comparison.steps += 1
        last = index == len(outcomes) - 1
        if lost and not last and _is_lost(outcome):
            continue
        if not worlds:
            if _is_wrong(step, outcome) and _claim_of(step, outcome) in claims:
                comparison.disagreement = Disagreement(index, step, outcome, (), ())
                return comparison
            continue
        after = model.step(worlds, step, outcome)
        if not after and (_claim_of(step, outcome) in claims or _is_fatal(step, outcome)):
            known = _known(model, worlds, step, outcome)
            comparison.disagreement = Disagreement(index, step, outcome, worlds, known)
            return comparison
        worlds = after
    return comparison


def _first(outcome: Outcome | OverlapOutcome) -> Outcome:
    return outcome.first if isinstance(outcome, OverlapOutcome) else outcome


def _is_wrong(step: Step, outcome: Outcome | OverlapOutcome) -> bool:
    """Whether it is not allowed in any state."""
    first = _first(outcome)
    return bool(first.stuck or first.kept) or _is_fatal(step, outcome) or _is_early(step, outcome)


def _is_fatal(step: Step, outcome: Outcome | OverlapOutcome) -> bool:
    """Whether the kernel is broken afterwards, whatever the claim is about."""
    if isinstance(step, Overlap) and isinstance(outcome, OverlapOutcome):
        return bool(outcome.first.splats) or outcome.lost_caller(step.victim)
    first = _first(outcome)
    return bool(first.splats) or first.died


def _is_early(step: Step, outcome: Outcome | OverlapOutcome) -> bool:
    return (
        isinstance(step, Overlap)
        and isinstance(outcome, OverlapOutcome)
        and left_too_early(step, outcome)
    )


def _is_busy(step: Step, outcome: Outcome) -> bool:
    """Whether a call is refused because another one runs, although none does any more."""
    return not isinstance(step, Overlap) and not outcome.requests and outcome.error in _BUSY


def _claim_of(step: Step, outcome: Outcome | OverlapOutcome) -> str:
    first = _first(outcome)
    if _is_early(step, outcome):
        return "M2"
    kinds = {splat.strip().partition(":")[0] for splat in first.splats}
    if first.stuck or kinds & _OF_PROGRESS or _is_busy(step, first):
        return "M3"
    return "M2" if first.kept or kinds & _OF_MEMORY else "M1"


def _broken(outcome: Outcome | OverlapOutcome) -> bool:
    first = _first(outcome)
    return bool(first.stuck) or first.died


def _is_lost(outcome: Outcome | OverlapOutcome) -> bool:
    return isinstance(outcome, Outcome) and any(call.name == "(lost)" for call in outcome.calls)


def _visit(comparison: Comparison, worlds: Sequence[World], step: Step) -> None:
    name = getattr(step.first if isinstance(step, Overlap) else step, "entry", "")
    attribute = getattr(step.first if isinstance(step, Overlap) else step, "attribute", "")
    for world in worlds[:1]:
        where = state_class(world, name) if name else "provider" if world.provider else "none"
        comparison.visited.add(Transition(where, step.kind, attribute, step.value_class))


def _known(
    model: Model, worlds: Sequence[World], step: Step, outcome: Outcome | OverlapOutcome
) -> tuple[str, ...]:
    """The claims each of which alone describes the deviation."""
    return tuple(
        claim
        for claim in DEVIATIONS
        if claim not in model.deviations
        and replace(model, deviations=model.deviations | {claim}).step(worlds, step, outcome)
    )
