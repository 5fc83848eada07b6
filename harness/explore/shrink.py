# SPDX-License-Identifier: MIT
"""Makes the program of a disagreement as short and plain as it can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from harness.explore.compare import Disagreement
from harness.explore.explorer import Trial
from harness.model.steps import ORDINARY, Overlap, Program, Step

__all__ = ["same_kind", "shrink"]

_MAX_RUNS = 60


def same_kind(one: Disagreement, other: Disagreement | None) -> bool:
    """Whether two disagreements are about the same claim, operation and known deviation."""
    if other is None:
        return False
    attributes = [getattr(each.step, "attribute", "") for each in (one, other)]
    return (one.claim, one.step.kind, one.known) == (
        other.claim,
        other.step.kind,
        other.known,
    ) and attributes[0] == attributes[1]


def shrink(trial: Trial, run: Callable[[Program], Trial], *, runs: int = _MAX_RUNS) -> Trial:
    """Return the shortest trial found that disagrees in the same way.

    It removes steps, from halves down to single ones, and then replaces values by ordinary ones.
    """
    best = trial
    found = best.comparison.disagreement
    assert found is not None
    left = runs

    def better(steps: tuple[Step, ...]) -> bool:
        nonlocal best, left
        if left <= 0 or not steps:
            return False
        left -= 1
        tried = run(Program(steps, trial.program.title))
        again = tried.comparison.disagreement
        if not same_kind(found, again):
            return False
        assert again is not None
        best = replace(tried, program=Program(steps[: again.index + 1], trial.program.title))
        return True

    better(_on_same_entry(best, found)) or better(best.program.steps[: found.index + 1])
    size = max(len(best.program.steps) // 2, 1)
    while left > 0:
        removed = _remove_parts(best, size, better)
        if size == 1 and not removed:
            break
        size = max(size // 2, 1)
    _simplify(lambda: best, better)
    return best


def _on_same_entry(trial: Trial, found: Disagreement) -> tuple[Step, ...]:
    """The steps on the entry of the last one, since that entry was last made."""
    steps = trial.program.steps[: found.index + 1]
    entry = _entry(steps[-1])
    start = max(
        (i for i, s in enumerate(steps) if s.kind in ("mkdir",) and _entry(s) == entry), default=0
    )
    return tuple(s for s in steps[start:] if _entry(s) in ("", entry))


def _entry(step: Step) -> str:
    return str(getattr(step.first if isinstance(step, Overlap) else step, "entry", ""))


def _remove_parts(trial: Trial, size: int, better: Callable[[tuple[Step, ...]], bool]) -> bool:
    removed = False
    steps = trial.program.steps
    position = len(steps) - 1 - size
    while position > -size:
        start = max(position, 0)
        shorter = steps[:start] + steps[start + size :]
        if start + size < len(steps) and better(shorter):
            steps, removed = shorter, True
        position -= size
    return removed


def _simplify(best: Callable[[], Trial], better: Callable[[tuple[Step, ...]], bool]) -> None:
    index = 0
    while index < len(best().program.steps):
        for plainer in _plainer(best().program.steps[index]):
            steps = best().program.steps
            if better((*steps[:index], plainer, *steps[index + 1 :])):
                break
        index += 1


def _plainer(step: Step) -> Iterator[Step]:
    """Simpler steps in place of one, the simplest first."""
    if isinstance(step, Overlap):
        if step.later:
            yield replace(step, later=())
        if not step.victim:
            yield from (
                replace(step, others=step.others[:n] + step.others[n + 1 :])
                for n in range(len(step.others))
            )
        return
    changes: dict[str, Any] = {}
    if getattr(step, "behaviour", ORDINARY) != ORDINARY:
        changes["behaviour"] = ORDINARY
    if getattr(step, "rounds", 1) > 1:
        yield replace(step, **{"rounds": 1})  # type: ignore[arg-type] # it has rounds
    if changes:
        yield replace(step, **changes)
