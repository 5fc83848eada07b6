# SPDX-License-Identifier: MIT
"""Verdicts, and what the exit status makes of them."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "EXIT_AS_EXPECTED",
    "EXIT_NO_VERDICT",
    "EXIT_UNEXPECTED",
    "EXIT_USAGE",
    "Cell",
    "CellResult",
    "Status",
    "exit_status",
    "summary",
    "tally",
    "telling_line",
    "worst",
]

EXIT_AS_EXPECTED = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_NO_VERDICT = 125
"""``git bisect run`` skips the commit."""


class Status(enum.Enum):
    """The verdict on one cell, in KCIDB's words; the most important comes first."""

    FAIL = "FAIL"
    """The claim's demand does not hold: the problem was seen."""
    ERROR = "ERROR"
    """The harness could not decide."""
    MISS = "MISS"
    """It was never run."""
    PASS = "PASS"
    """The claim's demand holds."""
    SKIP = "SKIP"
    """It does not apply to this interface."""


@dataclass(frozen=True, order=True)
class Cell:
    """What one verdict is about; ``kernel`` is the full release string."""

    claim: str
    scenario: str
    kernel: str
    tsm: str
    provider: str
    seed: int = 0


@dataclass(frozen=True)
class CellResult:
    """The verdict on one cell.

    ``expected`` is PASS, or FAIL where the core is known to break the claim. ``rerun`` is the
    command that repeats the cell; ``artifacts`` the directory with what was recorded,
    ``timeline`` the last of what led to a FAIL or ERROR, a line an event.
    ``infrastructure_retries`` counts repetitions after an ERROR; a FAIL is never repeated.
    """

    cell: Cell
    status: Status
    expected: Status
    duration_s: float
    detail: str = ""
    rerun: str = ""
    artifacts: Path | None = None
    timeline: tuple[str, ...] = ()
    infrastructure_retries: int = 0

    @property
    def decided(self) -> bool:
        """Whether it says anything about the kernel."""
        return self.status in (Status.PASS, Status.FAIL)

    @property
    def as_expected(self) -> bool:
        """Whether the verdict was expected; a claim that does not apply is no surprise."""
        return self.status in (self.expected, Status.SKIP)


def exit_status(results: Sequence[CellResult]) -> int:
    """The exit status for a run.

    1 as soon as one PASS or FAIL was not expected, whatever else happened: that is a finding.
    Otherwise 125 when a cell has no verdict (ERROR, MISS), or when none was decided at all
    (nothing ran, or every claim was skipped). Otherwise 0. Wrong usage is 2, and comes from
    whoever parses the command line.
    """
    if any(result.decided and not result.as_expected for result in results):
        return EXIT_UNEXPECTED
    if any(not result.as_expected for result in results):
        return EXIT_NO_VERDICT
    if not any(result.decided for result in results):
        return EXIT_NO_VERDICT
    return EXIT_AS_EXPECTED


def summary(results: Iterable[CellResult]) -> dict[str, int]:
    """How many results have each status, every status included."""
    counts = Counter(result.status for result in results)
    return {status.value: counts[status] for status in Status}


def worst(results: Iterable[CellResult]) -> CellResult:
    """The result that speaks for several: an unexpected one first, then by ``Status`` order."""
    order = list(Status)
    return min(results, key=lambda result: (result.as_expected, order.index(result.status)))


def telling_line(detail: str) -> str:
    """The line of a detail that says most: the second where the first only introduces it."""
    first, *others = detail.splitlines() or [""]
    return others[0].strip() if first.endswith(":") and others else first


def tally(results: Sequence[CellResult]) -> tuple[CellResult, str]:
    """The result that speaks for several, and how many of those that have a say are like it.

    The latter is ``2/5``, or empty for one alone. One that does not apply has no say, unless none
    does.
    """
    speaker = worst(results)
    counted = [r for r in results if r.status is not Status.SKIP] or results
    same = sum(result.status is speaker.status for result in counted)
    return speaker, f"{same}/{len(counted)}" if len(counted) > 1 else ""
