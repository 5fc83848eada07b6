# SPDX-License-Identifier: MIT
"""Verdicts: of one cell, of a whole run, and the exit status that follows from them.

Everything that makes, collects or shows verdicts uses these types. This module uses none of them.
"""

from __future__ import annotations

import enum
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = [
    "EXIT_AS_EXPECTED",
    "EXIT_NO_VERDICT",
    "EXIT_UNEXPECTED",
    "EXIT_USAGE",
    "Cause",
    "Cell",
    "CellResult",
    "ClaimSummary",
    "Pair",
    "Patchset",
    "RunResult",
    "SourceExcerpt",
    "Status",
    "exit_status",
    "headline",
    "most_important",
    "no_verdict_reason",
    "share",
    "summary",
]

EXIT_AS_EXPECTED = 0
EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_NO_VERDICT = 125
"""``git bisect run`` skips the commit."""


class Status(enum.Enum):
    """The verdict on one cell, as KCIDB names it; the most important one comes first."""

    FAIL = "FAIL"
    """The demand of the claim does not hold: the reported problem was observed."""
    ERROR = "ERROR"
    """The harness could not decide the claim."""
    MISS = "MISS"
    """The scenario was never run."""
    PASS = "PASS"
    """The demand of the claim holds."""
    SKIP = "SKIP"
    """The claim does not apply to this implementation, provider or kernel."""


@dataclass(frozen=True, order=True)
class Cell:
    """The subject of one verdict; ``kernel`` is the full release string."""

    claim: str
    scenario: str
    kernel: str
    tsm: str
    provider: str
    seed: int = 0


@dataclass(frozen=True)
class Cause:
    """What decided a FAIL or ERROR; two results with the same cause show the same problem.

    ``kind`` is the kind of a splat (``KASAN``) or the name of an exception class, ``subject``
    what it is about (the subtype and cache of a splat, an errno, a blob). ``function`` is the
    kernel function at fault, or the function of the scenario that raised the exception; ``line``
    counts from the start of that function, and is 0 for a splat.
    """

    kind: str
    subject: str = ""
    function: str = ""
    line: int = 0


@dataclass(frozen=True)
class SourceExcerpt:
    """The lines of a source file around ``line``, where the code under test went wrong.

    ``function`` is the kernel function that the line is in, or empty. ``lines`` are as in the
    file; the first of them has the number ``first``.
    """

    function: str
    file: str
    line: int
    first: int
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        """File, line and function in one line."""
        return f"{self.file}:{self.line}" + (f", in {self.function}()" if self.function else "")

    def marked(self) -> tuple[str, ...]:
        """Return the lines with their numbers, without common indentation; ``>`` marks the line."""
        width = len(str(self.first + len(self.lines) - 1))
        text = textwrap.dedent("\n".join(line.expandtabs() for line in self.lines))
        return tuple(
            f"{'>' if number == self.line else ' '} {number:{width}} {line}".rstrip()
            for number, line in enumerate(text.split("\n"), self.first)
        )


@dataclass(frozen=True)
class CellResult:
    """The verdict on one cell.

    ``expected`` is the status that a correct harness gives. ``rerun`` is the command that repeats
    the cell, ``artifacts`` the directory with the recorded evidence, ``timeline`` the last events
    before a FAIL or ERROR, one a line, ``cause`` what decided it. ``infrastructure_retries``
    counts repetitions after an ERROR; a FAIL is never repeated. ``source`` are lines of the code
    under test, if a FAIL has a line and its file is at hand.
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
    cause: Cause | None = None
    source: SourceExcerpt | None = None

    @property
    def decided(self) -> bool:
        """Whether the status is PASS or FAIL, and so says something about the kernel."""
        return self.status in (Status.PASS, Status.FAIL)

    @property
    def as_expected(self) -> bool:
        """Whether the status is the expected one; a SKIP is expected only where it is predicted."""
        return self.status is self.expected

    @property
    def unexpected(self) -> bool:
        """Whether there is a verdict, and it is not the expected one.

        ERROR and MISS are no verdicts: they are neither expected nor unexpected.
        """
        return not self.as_expected and self.status not in (Status.ERROR, Status.MISS)


@dataclass(frozen=True)
class ClaimSummary:
    """What a run report says of a claim; ``link`` is where it was raised, or empty."""

    demand: str
    raised_by: str
    link: str = ""


@dataclass(frozen=True)
class Pair:
    """Two columns of a run to compare: two values of ``axis``, a field of :class:`Cell`.

    With ``is_base`` the column ``after`` is a patch, and ``before`` the code that it changes.
    """

    axis: str
    before: str
    after: str
    is_base: bool = False


@dataclass(frozen=True)
class Patchset:
    """A posting under test; ``digests`` has the SHA-256 of each patch in hexadecimal, in order."""

    subject: str
    message_id: str = ""
    digests: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunResult:
    """Every verdict of a run, and what a run report says besides.

    ``host`` describes the machine, ``notes`` say how the user's sources were changed to build
    them. ``recalled`` are cells whose verdicts an earlier run had reached. ``claims`` describes
    the claims by id; ``undecided`` holds those that no scenario decides, each with the reason.
    ``pairs`` are the columns to compare: see :mod:`harness.report.compare`. ``command`` repeats
    the run. ``date`` is when it began (ISO 8601). ``subjects`` are the subjects of the judged
    patches, by implementation, and ``patchsets`` these patches.
    """

    results: Sequence[CellResult]
    host: Mapping[str, object] = field(default_factory=dict)
    interrupted: bool = False
    notes: Sequence[str] = ()
    recalled: frozenset[Cell] = frozenset()
    claims: Mapping[str, ClaimSummary] = field(default_factory=dict)
    undecided: Mapping[str, str] = field(default_factory=dict)
    pairs: Sequence[Pair] = ()
    command: str = ""
    date: str = ""
    subjects: Mapping[str, str] = field(default_factory=dict)
    patchsets: Mapping[str, Patchset] = field(default_factory=dict)


def exit_status(results: Sequence[CellResult]) -> int:
    """Return the exit status for a run.

    It is 125 if no cell was decided: see :func:`no_verdict_reason`. Otherwise it is 1 if a
    PASS, FAIL or SKIP was not expected, whatever else happened. Otherwise it is 125 if a cell has
    no verdict (ERROR, MISS), and 0 if all have. Status 2, for wrong usage, comes from the parser of
    the command line.
    """
    if not any(result.decided for result in results):
        return EXIT_NO_VERDICT
    if any(result.unexpected for result in results):
        return EXIT_UNEXPECTED
    return EXIT_AS_EXPECTED if all(r.as_expected for r in results) else EXIT_NO_VERDICT


def no_verdict_reason(results: Sequence[CellResult]) -> str:
    """Return why no cell was decided; empty if one was."""
    if not results:
        return "no scenario was run"
    if any(result.decided for result in results):
        return ""
    counts = ", ".join(f"{count} {status}" for status, count in summary(results).items() if count)
    [(reason, count)] = Counter(headline(result.detail) for result in results).most_common(1)
    return f"no cell was decided ({counts}); {count} of {len(results)}: {reason}"


def summary(results: Iterable[CellResult]) -> dict[str, int]:
    """Count the results of each status; every status has an entry."""
    counts = Counter(result.status for result in results)
    return {status.value: counts[status] for status in Status}


def most_important(results: Iterable[CellResult]) -> CellResult:
    """Return the result to show for several: an unexpected one first, then by status."""
    order = list(Status)
    return min(results, key=lambda result: (result.as_expected, order.index(result.status)))


def share(results: Sequence[CellResult], status: Status) -> str:
    """Return how many of the results have ``status``, as in ``2/5``; empty for a single result.

    Skipped results are not counted, unless all were skipped.
    """
    counted = [result for result in results if result.status is not Status.SKIP] or results
    same = sum(result.status is status for result in counted)
    return f"{same}/{len(counted)}" if len(counted) > 1 else ""


def headline(detail: str) -> str:
    """Return the most specific line of a detail: the second if the first only introduces it."""
    first, *others = detail.splitlines() or [""]
    return others[0].strip() if first.endswith(":") and others else first
