# SPDX-License-Identifier: MIT
"""The kernel log of one guest, and the check for unexpected splats in it.

The check needs the whole log: a splat among lost records would turn a FAIL into a PASS. After a
loss, or after a detector switched itself off, the log is inconclusive (``HarnessError``), unless
it has an unexpected splat anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType

from harness.detectors import SplatKind
from harness.errors import ClaimViolatedError, HarnessError, KernelSplatError, TsmHarnessError
from harness.oracle.records import LogRecord, parse_kmsg
from harness.oracle.splats import MAX_SPLATS, Splat, SplatReader

__all__ = ["Expectation", "KernelLog"]

MAX_RECORDS = 200_000
_MAX_TITLES = 10


@dataclass
class Expectation:
    """Splats that a scenario provokes on purpose.

    As a context manager it covers the splats that begin inside the block, and checks at its end
    that they came. Otherwise it covers all that begin after its registration, and
    ``KernelLog.verify()`` checks.
    """

    log: KernelLog
    kind: SplatKind
    subtype: str | None
    count: int
    start: int
    end: int | None = None
    matched: list[Splat] = field(default_factory=list)

    def covers(self, splat: Splat) -> bool:
        """Whether the splat is one of those expected here."""
        return (
            splat.kind is self.kind
            and (self.subtype is None or self.subtype in splat.subtype)
            and self.start <= splat.first_sequence
            and (self.end is None or splat.first_sequence < self.end)
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
    """Collects log records, from any thread, and checks them.

    ``sync`` makes the guest send every record written so far, and returns when they have been
    fed; each check calls it first. ``lost`` is the number of records that the guest had lost
    before this log began.
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
        self._reader = SplatReader()
        self._parsed: tuple[int, list[Splat]] = (0, [])

    def feed(self, raw_records: Iterable[bytes], lost: int) -> None:
        """Add ``/dev/kmsg`` records; ``lost`` is the number that the kernel lost since boot.

        A record that cannot be parsed and a gap in the sequence numbers count as losses. A record
        that the log already has is ignored.
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
        """The records fed so far, in order; the guest is not asked for more."""
        with self._lock:
            return tuple(self._records)

    @property
    def lost(self) -> int:
        """The number of records that are missing from this log."""
        with self._lock:
            return self._missing + self._lost - self._lost_before

    def mark(self) -> int:
        """Return a position in the log; all later records have at least this sequence number."""
        self._sync()
        with self._lock:
            return self._next

    def splats(self, since: int = 0) -> list[Splat]:
        """Return the splats that began at or after a mark, expected ones included."""
        self._sync()
        return self._found(since)

    def expect(self, kind: SplatKind, subtype: str | None = None, count: int = 1) -> Expectation:
        """Register splats that must come from now on: exactly ``count`` of them.

        ``subtype`` is a part of the splat's own subtype; None stands for any.
        """
        expectation = Expectation(self, kind, subtype, count, start=self.mark())
        self._expected.append(expectation)
        return expectation

    def assert_clean(self, since: int = 0) -> None:
        """Check that every splat since the mark was expected.

        Raises :class:`KernelSplatError` with the titles of the unexpected splats, and
        :class:`HarnessError` if the log is inconclusive.
        """
        self._check(since)

    def require(self, expectation: Expectation) -> None:
        """Check that the expected splats have come; raises :class:`ClaimViolatedError`."""
        self._check(expectation.start, (expectation,))

    def verify(self, since: int = 0) -> None:
        """Check at the end of a scenario that all expected splats came, and no others.

        Raises :class:`KernelSplatError`, :class:`ClaimViolatedError` for an expected splat that
        did not come, or :class:`HarnessError` if the log is inconclusive.
        """
        self._check(since, self._expected)

    def _check(self, since: int, required: Iterable[Expectation] = ()) -> None:
        trouble: TsmHarnessError | None = None
        try:
            self._sync()
        except TsmHarnessError as error:
            trouble = error
        unexpected = self._unexpected(since)
        evidence = [splat for splat in unexpected if splat.kind is not SplatKind.DETECTOR_OFF]
        if evidence:
            signatures = [splat.signature for splat in evidence]
            raise KernelSplatError(_describe(evidence), signatures=signatures) from trouble
        if trouble is not None:
            raise trouble
        self._raise_if_inconclusive(unexpected)
        for expectation in required:
            if len(expectation.matched) < expectation.count:
                raise ClaimViolatedError(
                    f"the kernel was expected to print {expectation}, "
                    f"but did so {len(expectation.matched)} times",
                    subject=str(expectation),
                )

    def _raise_if_inconclusive(self, unexpected: list[Splat]) -> None:
        if self.lost:
            raise HarnessError(
                f"{self.lost} kernel log records are missing: a splat may be among them",
                hint="enlarge the guest's log buffer (log_buf_len=) and run again",
            )
        if unexpected:
            raise HarnessError(
                f"a detector of the guest's kernel switched itself off, or lines are lost: "
                f"{unexpected[0].title}",
                hint="a clean log proves nothing from there on; the kernel log has the reason",
            )

    def _unexpected(self, since: int) -> list[Splat]:
        """Assign each splat to an expectation; return those left over.

        More specific expectations, then later ones, get their splats first.
        """
        order = sorted(self._expected, key=lambda e: (e.subtype is None, -e.start))
        for expectation in order:
            expectation.matched = []
        unexpected: list[Splat] = []
        for splat in self._found(0):
            free = (e for e in order if len(e.matched) < e.count and e.covers(splat))
            first = next(free, None)
            if first is not None:
                first.matched.append(splat)
            elif splat.first_sequence >= since and not splat.outside_tsm:
                unexpected.append(splat)
        return unexpected

    def _found(self, since: int) -> list[Splat]:
        with self._lock:
            count, splats = self._parsed
            if count != len(self._records):
                self._reader.read(self._records[count:])
                splats = self._reader.splats()
                self._parsed = (len(self._records), splats)
        return [splat for splat in splats if splat.first_sequence >= since]


def _describe(splats: list[Splat]) -> str:
    count = f"at least {MAX_SPLATS}" if len(splats) >= MAX_SPLATS else str(len(splats))
    lines = [f"unexpected splats in the kernel log ({count}):"]
    lines += [f"  {splat.kind.value}: {splat.title}" for splat in splats[:_MAX_TITLES]]
    if len(splats) > _MAX_TITLES:
        lines.append(f"  … and {len(splats) - _MAX_TITLES} more")
    return "\n".join(lines)
