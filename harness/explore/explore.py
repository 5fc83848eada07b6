# SPDX-License-Identifier: MIT
"""The search: systematic programs, then random ones, until the budget is used."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from harness.explore.compare import Disagreement, Transition
from harness.explore.explorer import Explorer, Trial
from harness.explore.shrink import same_kind, shrink
from harness.explore.systematic import Part, systematic_programs
from harness.model.steps import Overlap, Program, Step

__all__ = ["Budget", "Exploration", "Finding", "explore"]

_UNLIMITED = 1_000_000
_CLAIMS: dict[Part, tuple[str, ...]] = {
    "behaviour": ("M1", "M2", "M3"),
    "kept": ("M2",),
    "progress": ("M3",),
}
_MAX_SAME = 2  # disagreements that look alike and are shrunk all the same


@dataclass(frozen=True)
class Budget:
    """When to stop: after ``programs`` or after ``seconds``; None is no limit.

    ``findings`` limits the disagreements that are shown. A disagreement is shrunk in at most
    ``shrinking`` runs, and its shortest program runs ``repeats`` times more.
    """

    programs: int | None = None
    seconds: float | None = None
    findings: int = 10
    shrinking: int = 60
    repeats: int = 10


@dataclass(frozen=True)
class Finding:
    """A disagreement with the shortest program that shows it.

    It came ``same`` times when the program was run ``repeats`` times. ``repeats`` is 0 when the
    search was stopped before the program was shrunk and repeated.
    """

    trial: Trial
    same: int
    repeats: int
    deviations: frozenset[str]

    @property
    def disagreement(self) -> Disagreement:
        """The step that disagrees."""
        found = self.trial.comparison.disagreement
        assert found is not None
        return found

    @property
    def signature(self) -> tuple[object, ...]:
        """What distinguishes it from other findings: the operations and attributes in order."""
        steps = self.trial.program.steps
        return (self.disagreement.claim, *[_shape(step) for step in steps])


@dataclass
class Exploration:
    """What a search has found: findings, transitions, and how many programs and steps it took."""

    findings: list[Finding] = field(default_factory=list)
    visited: set[Transition] = field(default_factory=set)
    programs: int = 0
    steps: int = 0
    seconds: float = 0.0


def explore(
    explorer: Explorer,
    part: Part,
    budget: Budget,
    *,
    on_program: Callable[[Exploration], None] = lambda _: None,
    into: Exploration | None = None,
) -> Exploration:
    """Explore until the budget is used or enough was found.

    What is found is added to ``into``, which a caller has also after an exception.

    A deviation that a claim of the catalogue describes is reported once, and then taken as
    allowed, so that the search sees what lies behind it.
    """
    explorer.claims = _CLAIMS[part]
    search = _Search(explorer, budget, on_program, Exploration() if into is None else into)
    programs = list(systematic_programs(explorer.detect(), part))
    for program in _spread(programs, budget.programs, explorer.seed):
        if not search.run(program):
            return search.result
    left = _UNLIMITED if budget.programs is None else budget.programs - search.result.programs
    if left > 0 and part == "behaviour":
        # Imported here since Hypothesis takes a while, and every run loads the plugin.
        from harness.explore.machine import random_programs  # noqa: PLC0415

        random_programs(explorer.detect(), number=explorer.seed, count=left, run=search.run)
    return search.result


def _spread(programs: list[Program], wanted: int | None, seed: int) -> list[Program]:
    """As many programs as wanted: half of them are the first, the rest are from the whole list."""
    if wanted is None or wanted >= len(programs):
        return programs
    first = (wanted + 1) // 2
    stride = len(programs) / wanted
    chosen = {int((number * stride + seed) % len(programs)) for number in range(first, wanted)}
    return [programs[index] for index in sorted({*range(first), *chosen})]


class _Search:
    def __init__(
        self,
        explorer: Explorer,
        budget: Budget,
        on_program: Callable[[Exploration], None],
        result: Exploration,
    ) -> None:
        self.explorer = explorer
        self.budget = budget
        self.result = result
        self._on_program = on_program
        self._start = time.monotonic()
        self._alike: Counter[tuple[object, ...]] = Counter()

    def run(self, program: Program) -> bool:
        """Run one program and what is left of it behind a disagreement; whether to go on."""
        self._run_blocks(program)
        self.result.programs += 1
        self.result.seconds = time.monotonic() - self._start
        self._on_program(self.result)
        return self._wanted()

    def _run_blocks(self, program: Program) -> None:
        rest: Program | None = program
        while rest is not None:
            trial = self.explorer.run(rest)
            self._count(trial)
            found = trial.comparison.disagreement
            if found is None:
                return
            self._examine(trial, found)
            rest = _behind(rest, found) if self._wanted() else None

    def _count(self, trial: Trial) -> None:
        self.result.visited |= trial.comparison.visited
        self.result.steps += trial.comparison.steps

    def _wanted(self) -> bool:
        budget, result = self.budget, self.result
        elapsed = time.monotonic() - self._start
        return (
            (budget.programs is None or result.programs < budget.programs)
            and (budget.seconds is None or elapsed < budget.seconds)
            and len(result.findings) < budget.findings
        )

    def _examine(self, trial: Trial, found: Disagreement) -> None:
        alike = (found.claim, _shape(found.step), found.known)
        self._alike[alike] += 1
        if self._alike[alike] > _MAX_SAME:
            return
        repeats = self.budget.repeats
        try:
            shortest = shrink(trial, self.explorer.run, runs=self.budget.shrinking)
            shrunk = shortest is not trial  # the shortest program has then run once already
            again = [self.explorer.run(shortest.program) for _ in range(repeats - shrunk)]
        except BaseException:
            self.result.findings.append(Finding(trial, 0, 0, self.explorer.deviations))
            raise
        least = shortest.comparison.disagreement
        assert least is not None
        same = shrunk + sum(same_kind(least, each.comparison.disagreement) for each in again)
        finding = Finding(shortest, same, repeats, self.explorer.deviations)
        if all(finding.signature != each.signature for each in self.result.findings):
            self.result.findings.append(finding)
        if least.known:
            self.explorer.deviations |= {least.known[0]}


def _shape(step: Step) -> tuple[str, str]:
    first = step.first if isinstance(step, Overlap) else step
    return (step.kind, str(getattr(first, "attribute", "")))


def _behind(program: Program, found: Disagreement) -> Program | None:
    """The blocks behind the one that disagrees, for another pristine guest."""
    for index in _starts(program.steps):
        if index > found.index:
            return replace(program, steps=program.steps[index:])
    return None


def _starts(steps: tuple[Step, ...]) -> Iterator[int]:
    """The indices at which a block begins: an entry is made, or the class's provider is back."""
    for index, step in enumerate(steps):
        before = [each.kind for each in steps[max(index - 2, 0) : index]]
        made = step.kind == "mkdir" and before[-1:] in (["rmdir"], ["return"])
        returned = before == ["leave", "return"] and step.kind != "rmdir"
        if made or returned:
            yield index
