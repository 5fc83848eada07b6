# SPDX-License-Identifier: MIT
"""Compares two columns of a run: what is fixed, broken, still failing, unchanged.

The columns are two implementations, two kernels or two providers. Each scenario of a claim is
compared with itself, on the same values of the other two. A verdict is *fixed* or *broken* only
where both columns decided every repetition, and each always in the same way.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.verdict import Cell, CellResult, Pair, RunResult, Status, headline

__all__ = ["AXES", "Change", "Comparison", "Difference", "compare", "expect_what_bases_fail"]

AXES = ("kernel", "tsm", "provider")
"""The fields of a cell whose values are the columns of a run."""

_Place = tuple[str, ...]


class Change(enum.Enum):
    """What became of a verdict; the most important comes first."""

    BROKEN = "broken"
    """PASS before, FAIL after."""
    FIXED = "fixed"
    """FAIL before, PASS after."""
    UNSTABLE = "unstable"
    """Repetitions within one of the columns have different verdicts."""
    STILL_FAILING = "still failing"
    """FAIL in both."""
    NOT_COMPARED = "not compared"
    """At least one column has no PASS or FAIL, and the other has not the same SKIP."""
    UNCHANGED = "unchanged"
    """PASS in both, or SKIP in both."""


@dataclass(frozen=True)
class Difference:
    """The verdicts of one scenario in both columns; ``where`` has the axes they have in common."""

    claim: str
    scenario: str
    where: tuple[str, ...]
    before: tuple[CellResult, ...]
    after: tuple[CellResult, ...]

    @property
    def change(self) -> Change:
        """What became of the verdict."""
        before, after = _statuses(self.before), _statuses(self.after)
        if any({Status.PASS, Status.FAIL} <= set(column) for column in (before, after)):
            return Change.UNSTABLE
        return _CHANGES.get((_only(before), _only(after)), Change.NOT_COMPARED)

    @property
    def evidence(self) -> str:
        """One line: what was seen that makes the change; empty for unchanged verdicts."""
        match self.change:
            case Change.FIXED:
                return f"FAIL before: {_seen(self.before)}"
            case Change.STILL_FAILING if self.other_cause:
                return f"for another reason: {_seen(self.after)} (before: {_seen(self.before)})"
            case Change.BROKEN | Change.STILL_FAILING:
                return _seen(self.after)
            case Change.UNSTABLE:
                return f"{_tally(self.before)} before, {_tally(self.after)} after"
            case Change.NOT_COMPARED:
                return self._why_not_compared()
        return ""

    @property
    def other_cause(self) -> bool:
        """Whether both columns FAIL, and share no cause."""
        causes = [
            {each.cause for each in column if each.status is Status.FAIL}
            for column in (self.before, self.after)
        ]
        return all(causes) and not causes[0] & causes[1]

    def _why_not_compared(self) -> str:
        text = f"{_tally(self.before)} before, {_tally(self.after)} after"
        if Status.SKIP in _statuses(self.before + self.after):
            text += ", so neither fixed nor broken"
        undecided = [each for each in (*self.after, *self.before) if not each.decided]
        return f"{text}: {headline(undecided[0].detail)}" if undecided else text


@dataclass(frozen=True)
class Comparison:
    """Every scenario of two columns."""

    pair: Pair
    differences: tuple[Difference, ...]

    def of(self, change: Change) -> list[Difference]:
        """Return the scenarios with this change, in the order of the run."""
        return [each for each in self.differences if each.change is change]

    @property
    def counts(self) -> dict[Change, int]:
        """How many scenarios have each change; every change has an entry."""
        counted = Counter(each.change for each in self.differences)
        return {change: counted[change] for change in Change}


def compare(results: Sequence[CellResult], pair: Pair) -> Comparison:
    """Compare two columns of a run."""
    before = _column(results, pair.axis, pair.before)
    after = _column(results, pair.axis, pair.after)
    return Comparison(
        pair,
        tuple(
            Difference(place[0], place[1], place[2:], before.get(place, ()), after.get(place, ()))
            for place in dict.fromkeys((*before, *after))
        ),
    )


def expect_what_bases_fail(run: RunResult, added: frozenset[str]) -> RunResult:
    """Return the run with a FAIL of a patch expected where its base has a FAIL, too.

    A patch answers for what it changes. A scenario that fails in the base says nothing about the
    patch, and neither does the verdict of a base that nobody asked for: in the columns ``added``
    to the run, every PASS and FAIL is expected.
    """
    excused: dict[Cell, str] = {}
    for pair in run.pairs:
        if pair.is_base:
            for each in compare(run.results, pair).differences:
                if Status.FAIL in _statuses(each.before):
                    excused.update(dict.fromkeys((r.cell for r in each.after), pair.before))
    return replace(run, results=[_expected(each, excused, added) for each in run.results])


def _expected(result: CellResult, excused: Mapping[Cell, str], added: frozenset[str]) -> CellResult:
    if result.cell.tsm in added and result.decided:
        return replace(result, expected=result.status)
    if result.unexpected and result.status is Status.FAIL and result.cell in excused:
        note = f"its base {excused[result.cell]} fails this scenario, too"
        return replace(result, expected=Status.FAIL, detail=f"{result.detail}\n{note}")
    return result


def _column(
    results: Sequence[CellResult], axis: str, value: str
) -> dict[_Place, tuple[CellResult, ...]]:
    """Return the results of one column by place: claim, scenario, and the other axes."""
    others = [name for name in AXES if name != axis]
    found: dict[_Place, tuple[CellResult, ...]] = {}
    for result in results:
        cell = result.cell
        if getattr(cell, axis) == value:
            place = (cell.claim, cell.scenario, *(str(getattr(cell, name)) for name in others))
            found[place] = (*found.get(place, ()), result)
    return found


def _statuses(results: Sequence[CellResult]) -> list[Status]:
    return [result.status for result in results]


def _only(statuses: Sequence[Status]) -> Status | None:
    """Return the verdict of a column: the status that all results have, or None.

    One FAIL among ERRORs is a FAIL, as in the verdict of a cell; a PASS needs every repetition.
    """
    if Status.FAIL in statuses:
        return Status.FAIL
    return statuses[0] if len(set(statuses)) == 1 else None


_CHANGES: Mapping[tuple[Status | None, Status | None], Change] = {
    (Status.PASS, Status.FAIL): Change.BROKEN,
    (Status.FAIL, Status.PASS): Change.FIXED,
    (Status.FAIL, Status.FAIL): Change.STILL_FAILING,
    (Status.PASS, Status.PASS): Change.UNCHANGED,
    (Status.SKIP, Status.SKIP): Change.UNCHANGED,
}


def _seen(results: Sequence[CellResult]) -> str:
    return headline(next(each.detail for each in results if each.status is Status.FAIL))


def _tally(results: Sequence[CellResult]) -> str:
    """Return the verdicts of a column: ``FAIL``, ``FAIL in 2 of 5``, ``not run``."""
    counts = Counter(_statuses(results))
    shown = [status for status in Status if counts[status]]
    if len(shown) == 1:
        return shown[0].value
    return " and ".join(f"{s.value} in {counts[s]} of {len(results)}" for s in shown) or "not run"
