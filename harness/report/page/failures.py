# SPDX-License-Identifier: MIT
"""The results that a page explains: what is not as expected, then the other FAILs and ERRORs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.page.pieces import Budget, Evidence, evidence_of
from harness.verdict import CellResult, Status

__all__ = ["Failures", "Group", "Shown", "failures_of"]

_BUDGET = 600_000  # characters of evidence; the rest of a page is small


@dataclass(frozen=True)
class Shown:
    """One result, with a number that is unique in the page.

    ``same_as`` is the number of an earlier result of the same scenario that has the same reason;
    its evidence stands for both.
    """

    number: int
    result: CellResult
    evidence: Evidence
    same_as: int | None = None


@dataclass(frozen=True)
class Group:
    """The results of one claim in one column: an entry of the page's list of failures."""

    number: int
    members: tuple[Shown, ...]

    @property
    def first(self) -> CellResult:
        """The first result."""
        return self.members[0].result

    @property
    def as_expected(self) -> bool:
        """Whether every member is as expected."""
        return all(member.result.as_expected for member in self.members)


@dataclass(frozen=True)
class Failures:
    """The groups, those with an unexpected result first, and the results that were not run."""

    groups: tuple[Group, ...]
    missed: tuple[CellResult, ...]
    numbers: Mapping[int, int]
    group_numbers: Mapping[int, int]

    def number(self, result: CellResult) -> int | None:
        """Return the number of a result that a page explains; None for another one."""
        return self.numbers.get(id(result))

    def group(self, result: CellResult) -> int | None:
        """Return the number of the group that a result is in."""
        return self.group_numbers.get(id(result))


def failures_of(results: Sequence[CellResult]) -> Failures:
    """Number and group the results that need an explanation, and read their evidence."""
    found: dict[object, list[CellResult]] = {}
    for result in results:
        if result.status is not Status.MISS and (
            result.status in (Status.FAIL, Status.ERROR) or not result.as_expected
        ):
            cell = result.cell
            key = (cell.kernel, cell.provider, cell.claim, cell.tsm)
            found.setdefault(key, []).append(result)
    ordered = sorted(found.values(), key=lambda members: all(r.as_expected for r in members))
    budget, groups, count = Budget(_BUDGET), [], 0
    for number, members in enumerate(ordered):
        groups.append(Group(number, _shown(members, count, budget)))
        count += len(members)
    return Failures(
        tuple(groups),
        tuple(result for result in results if result.status is Status.MISS),
        {id(m.result): m.number for group in groups for m in group.members},
        {id(m.result): group.number for group in groups for m in group.members},
    )


def _shown(members: Sequence[CellResult], start: int, budget: Budget) -> tuple[Shown, ...]:
    shown: list[Shown] = []
    first: dict[object, int] = {}
    for number, result in enumerate(members, start):
        reason = (
            result.cell.scenario,
            result.status,
            result.expected,
            result.cause or result.detail,
        )
        same_as = first.setdefault(reason, number)
        if same_as == number:
            shown.append(Shown(number, result, evidence_of(result, budget)))
        else:
            shown.append(Shown(number, result, Evidence(), same_as))
    return tuple(shown)
