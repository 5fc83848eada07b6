# SPDX-License-Identifier: MIT
"""One guest's kernel log, and the judgement whether the kernel complained.

A verdict needs the whole log: a report among lost records would turn a FAIL into a PASS. So a
loss, like a detector that switched itself off, makes the log inconclusive (``HarnessError``)
unless it holds an unexpected report anyway, which is evidence enough.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from harness.detectors import SplatKind
from harness.errors import ClaimViolatedError, HarnessError, KernelSplatError, TsmHarnessError
from harness.oracle.records import LogRecord, parse_kmsg
from harness.oracle.splats import MAX_SPLATS, Splat, find_splats

__all__ = ["Expectation", "KernelLog"]

MAX_RECORDS = 200_000
_MAX_TITLES = 10


@dataclass
class Expectation:
    """A report that a scenario provokes on purpose.

    Used as a context manager it covers the reports that begin inside the block, and leaving the
    block checks that they came; otherwise it covers all that follows its registration, and
    ``KernelLog.verify()`` checks.
    """

    log: KernelLog
    kind: SplatKind
    subtype: str | None
    count: int
    start: int
    end: int | None = None
    matched: list[Splat] = field(default_factory=list)

    def covers(self, report: Splat) -> bool:
        """Whether the report is one of those expected here."""
        return (
            report.kind is self.kind
            and (self.subtype is None or self.subtype in report.subtype)
            and self.start <= report.first_sequence
            and (self.end is None or report.first_sequence < self.end)
        )

    def __str__(self) -> str:
        return f"{self.count} x {self.kind.value}" + (f" '{self.subtype}'" if self.subtype else "")

    def __enter__(self) -> Expectation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.end = self.log.mark()
            self.log.require(self)


class KernelLog:
    """Accumulates log records, from any thread, and judges them.

    ``sync`` asks the guest to hand over every record written so far and returns when they have
    been fed; it is called before every judgement. ``lost`` is how many records the guest had
    already lost when this log began.
    """

    def __init__(self, sync: Callable[[], None], *, lost: int = 0) -> None:
        self._sync = sync
        self._lock = threading.Lock()
        self._records: list[LogRecord] = []
        self._expected: list[Expectation] = []
        self._lost_before = lost
        self._lost = lost
        self._missing = 0
        self._next = 0
        self._parsed: tuple[int, list[Splat]] = (0, [])

    def feed(self, raw_records: Iterable[bytes], lost: int) -> None:
        """Take one LOG event: ``/dev/kmsg`` records, and how many the kernel lost in all.

        A record that cannot be parsed and a gap in the sequence numbers count as losses; a record
        already seen is passed over.
        """
        with self._lock:
            self._lost = max(self._lost, lost)
            for raw in raw_records:
                record = parse_kmsg(raw)
                if record is None:
                    self._missing += 1
                elif record.sequence >= self._next:
                    self._append(record)

    def _append(self, record: LogRecord) -> None:
        if len(self._records) >= MAX_RECORDS:
            self._missing += 1
            return
        if self._records:
            self._missing += record.sequence - self._next
        self._next = record.sequence + 1
        self._records.append(record)

    @property
    def records(self) -> tuple[LogRecord, ...]:
        """What was fed so far, in order; does not ask the guest."""
        with self._lock:
            return tuple(self._records)

    @property
    def lost(self) -> int:
        """How many records are missing from this log."""
        with self._lock:
            return self._missing + self._lost - self._lost_before

    def mark(self) -> int:
        """Return a point in the log: what the kernel says later compares greater or equal."""
        self._sync()
        with self._lock:
            return self._next

    def reports(self, since: int = 0) -> list[Splat]:
        """Return the reports that began at or after a mark, expected ones included."""
        self._sync()
        return self._reports(since)

    def expect(self, kind: SplatKind, subtype: str | None = None, count: int = 1) -> Expectation:
        """Register reports that have to come from now on: ``count`` of them, no more, no fewer.

        ``subtype`` is looked for within the report's own; None stands for any.
        """
        expectation = Expectation(self, kind, subtype, count, start=self.mark())
        self._expected.append(expectation)
        return expectation

    def assert_clean(self, since: int = 0) -> None:
        """Fail unless every report since the mark was expected.

        Raises KernelSplatError with the titles of the unexpected ones, HarnessError when the
        log cannot tell.
        """
        self._judge(since)

    def require(self, expectation: Expectation) -> None:
        """Fail with ClaimViolatedError unless the expected reports have come."""
        self._judge(expectation.start, (expectation,))

    def verify(self, since: int = 0) -> None:
        """Say the last word on a scenario: nothing unexpected, and all that was expected.

        Raises KernelSplatError, ClaimViolatedError for an expected report that did not come, or
        HarnessError when the log cannot tell.
        """
        self._judge(since, self._expected)

    def _judge(self, since: int, required: Iterable[Expectation] = ()) -> None:
        trouble: TsmHarnessError | None = None
        try:
            self._sync()
        except TsmHarnessError as error:
            trouble = error
        unexpected = self._unexpected(since)
        evidence = [r for r in unexpected if r.kind is not SplatKind.DETECTOR_OFF]
        if evidence:
            kinds = frozenset(report.kind.value for report in evidence)
            raise KernelSplatError(_describe(evidence), kinds=kinds) from trouble
        if trouble is not None:
            raise trouble
        self._raise_if_inconclusive(unexpected)
        for expectation in required:
            if len(expectation.matched) < expectation.count:
                raise ClaimViolatedError(
                    f"the kernel was expected to report {expectation}, "
                    f"but did so {len(expectation.matched)} times"
                )

    def _raise_if_inconclusive(self, unexpected: list[Splat]) -> None:
        if self.lost:
            raise HarnessError(
                f"{self.lost} kernel log records are missing: a report may be among them",
                hint="enlarge the guest's log buffer (log_buf_len=) and run again",
            )
        if unexpected:
            raise HarnessError(
                f"a detector of the guest's kernel switched itself off: {unexpected[0].title}",
                hint="what it did not see proves nothing; look for the reason in the kernel log",
            )

    def _unexpected(self, since: int) -> list[Splat]:
        """Deal the reports to the expectations; the more specific, then the later, choose first."""
        order = sorted(self._expected, key=lambda e: (e.subtype is None, -e.start))
        for expectation in order:
            expectation.matched = []
        unexpected = []
        for report in self._reports(0):
            taker = next((e for e in order if len(e.matched) < e.count and e.covers(report)), None)
            if taker is not None:
                taker.matched.append(report)
            elif report.first_sequence >= since and not report.elsewhere:
                unexpected.append(report)
        return unexpected

    def _reports(self, since: int) -> list[Splat]:
        with self._lock:
            count, reports = self._parsed
            if count != len(self._records):
                reports = find_splats(self._records)
                self._parsed = (len(self._records), reports)
        return [report for report in reports if report.first_sequence >= since]


def _describe(reports: list[Splat]) -> str:
    count = f"at least {MAX_SPLATS}" if len(reports) >= MAX_SPLATS else str(len(reports))
    lines = [f"the kernel reported what nobody expected ({count}):"]
    lines += [f"  {report.kind.value}: {report.title}" for report in reports[:_MAX_TITLES]]
    if len(reports) > _MAX_TITLES:
        lines.append(f"  … and {len(reports) - _MAX_TITLES} more")
    return "\n".join(lines)
