# SPDX-License-Identifier: MIT
"""Checks that every byte read is one that the provider issued, for the options then in force.

This finds memory errors that no detector of the kernel finds: a copy from freed memory, two
spliced reports, a report over another caller's nonce. The functions are pure; times are
nanoseconds of the guest's CLOCK_MONOTONIC.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate
from typing import Literal

from harness.oracle.foreign_bytes import differing_bytes, explain, prefix_length, suffix_length

__all__ = [
    "Blob",
    "ContentViolation",
    "Issued",
    "OptionWrite",
    "Options",
    "ReportRead",
    "Violation",
    "check_content",
    "option_value",
]

Blob = Literal["outblob", "auxblob", "manifestblob"]

_BLOBS: tuple[Blob, ...] = ("outblob", "auxblob", "manifestblob")
_NUMBERS = ("privlevel", "service_manifest_version")


@dataclass(frozen=True)
class Options:
    """The options of one report; an option that is None is not known, and not compared."""

    inblob: bytes | None = None
    privlevel: int | None = None
    format: str | None = None
    service_provider: str | None = None
    service_guid: str | None = None
    service_manifest_version: int | None = None


@dataclass(frozen=True)
class Issued:
    """One report that the provider made: its number, its blobs, the options of the request.

    ``time_ns`` is the host's clock; it is shown in messages, and not compared.
    """

    serial: int
    outblob: bytes
    auxblob: bytes
    manifestblob: bytes
    options: Options
    time_ns: int

    def blob(self, name: Blob) -> bytes:
        """Return one of the three blobs by the name of its file."""
        blobs = {"outblob": self.outblob, "auxblob": self.auxblob}
        return blobs.get(name, self.manifestblob)


@dataclass(frozen=True)
class ReportRead:
    """Bytes that a reader got from the file of a blob.

    ``whole``: from offset 0 to the end of the file, in one snapshot; otherwise ``data`` was read
    at ``offset``. The call began at ``start_ns`` and had returned by ``end_ns``.
    """

    entry: str
    blob: Blob
    data: bytes
    offset: int
    whole: bool
    start_ns: int
    end_ns: int
    reader: str


@dataclass(frozen=True)
class OptionWrite:
    """A write of one option; ``attr`` is a field of ``Options``.

    ``value`` is None if the field cannot represent it. The write took effect between ``start_ns``
    and ``end_ns``, the end of close(2) if that commits it. A failed write changes nothing, unless
    it is ``uncertain``: then both values may be in force from its start.
    """

    entry: str
    attr: str
    value: bytes | int | str | None
    start_ns: int
    end_ns: int
    ok: bool = True
    uncertain: bool = False


class Violation(enum.Enum):
    """How the bytes of a read are wrong."""

    FOREIGN = "foreign bytes"
    TORN = "torn"
    CUT = "cut short"
    STALE = "not for the options in force"


@dataclass(frozen=True)
class ContentViolation:
    """One read whose bytes are wrong.

    ``serial`` is the report that shares the longest start with the read. ``first_difference`` is
    the offset in the file of the first byte that differs from it, ``foreign_bytes`` the number of
    bytes that differ.
    """

    read: ReportRead
    kind: Violation
    message: str
    serial: int | None = None
    first_difference: int | None = None
    foreign_bytes: int = 0

    def __str__(self) -> str:
        return f"{self.read.reader} read {self.read.entry}/{self.read.blob}: {self.message}"


def check_content(
    issued: Sequence[Issued],
    reads: Iterable[ReportRead],
    writes: Iterable[OptionWrite] = (),
    initial: Mapping[str, Options] | None = None,
) -> list[ContentViolation]:
    """Return the reads with bytes that were not issued, or not for the options in force.

    ``initial`` has the options of entries before their first write. An option that was neither
    written nor given there is not compared.
    """
    history = _history(writes, initial or {})
    whole = _by_content(issued)
    violations = []
    for read in reads:
        if read.whole:
            sources = whole.get((read.blob, read.data), [])
        else:
            sources = [report for report in issued if _comes_from(read, report)]
        if not sources:
            violations.append(_unissued(read, issued))
        elif not any(_fresh(report.options, read, history) for report in sources):
            violations.append(_stale(read, sources))
    return violations


def option_value(attr: str, value: bytes | int | str) -> bytes | int | str | None:
    """Return a written value as :class:`Options` represents it; None if it cannot.

    The kernel reads numbers with kstrtouint(): 0x is hexadecimal, 0 octal; one newline may follow.
    """
    if attr == "inblob":
        return value if isinstance(value, bytes) else None
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        value = value.removesuffix("\n")
    if attr not in _NUMBERS or isinstance(value, int):
        return value
    try:
        octal = value[:1] == "0" and value[1:].isdecimal()
        return int(value, 8 if octal else 0)
    except ValueError:
        return None


def _by_content(issued: Sequence[Issued]) -> dict[tuple[Blob, bytes], list[Issued]]:
    found: dict[tuple[Blob, bytes], list[Issued]] = defaultdict(list)
    for report in issued:
        for blob in _BLOBS:
            found[blob, report.blob(blob)].append(report)
    return found


def _comes_from(read: ReportRead, report: Issued) -> bool:
    return read.data == report.blob(read.blob)[read.offset : read.offset + len(read.data)]


# --- provenance ---------------------------------------------------------------------------------


def _unissued(read: ReportRead, issued: Sequence[Issued]) -> ContentViolation:
    if not issued:
        message = f"{len(read.data)} bytes, although the provider issued no report"
        return ContentViolation(read, Violation.FOREIGN, message, None, 0, len(read.data))
    slices = [(report, _slice(read, report)) for report in issued]
    prefixes = [prefix_length(read.data, blob) for _, blob in slices]
    best = max(range(len(slices)), key=prefixes.__getitem__)
    torn = _torn(read, slices, best, prefixes[best])
    if torn:
        return torn
    nearest, blob = slices[best]
    first = prefixes[best]
    if first == len(read.data):
        message = f"report {nearest.serial} cut short: {first} of {len(blob)} bytes"
        return ContentViolation(
            read, Violation.CUT, message, nearest.serial, read.offset + first, 0
        )
    foreign = differing_bytes(read.data, blob)
    message = (
        f"{len(foreign)} bytes that the provider did not issue there, the first at offset "
        f"{read.offset + first}; nearest is report {nearest.serial}{explain(foreign)}"
    )
    if first == len(blob):
        message += f"; the whole report ({first} bytes) precedes them"
    return ContentViolation(
        read, Violation.FOREIGN, message, nearest.serial, read.offset + first, len(foreign)
    )


def _slice(read: ReportRead, report: Issued) -> bytes:
    blob = report.blob(read.blob)
    return blob if read.whole else blob[read.offset : read.offset + len(read.data)]


def _torn(
    read: ReportRead, slices: list[tuple[Issued, bytes]], first: int, length: int
) -> ContentViolation | None:
    """Find a splice: the start of one issued report and the end of another, at their offsets."""
    start = slices[first][0]
    for report, blob in slices if length else ():
        if report is start or len(blob) != len(read.data):
            continue
        if length + suffix_length(read.data, blob) >= len(read.data):
            at = read.offset + length
            message = f"torn: report {start.serial} up to offset {at}, then report {report.serial}"
            foreign = len(read.data) - length
            return ContentViolation(read, Violation.TORN, message, start.serial, at, foreign)
    return None


# --- freshness ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Span:
    """A value, and the first and last instant at which it may have been in force."""

    value: bytes | int | str | None
    start: float
    end: float


_Value = bytes | int | str | None
_History = dict[tuple[str, str], dict[_Value, list[_Span]]]
_OPTION_NAMES = tuple(option.name for option in fields(Options))


def _history(writes: Iterable[OptionWrite], initial: Mapping[str, Options]) -> _History:
    written: dict[tuple[str, str], list[OptionWrite]] = defaultdict(list)
    for write in writes:
        if write.attr not in _OPTION_NAMES:
            raise ValueError(f"no such option: {write.attr!r}")
        if write.ok or write.uncertain:
            written[write.entry, write.attr].append(write)
    for entry, options in initial.items():
        for name in _OPTION_NAMES:
            if getattr(options, name) is not None:
                written.setdefault((entry, name), [])
    return {
        (entry, name): _spans(changes, getattr(initial.get(entry), name, None))
        for (entry, name), changes in written.items()
    }


def _spans(writes: list[OptionWrite], before: _Value) -> dict[_Value, list[_Span]]:
    """Return the spans of each value: from the start of its write to the end of a later write.

    An uncertain write ends no span.
    """
    inorder = sorted((write for write in writes if write.ok), key=lambda write: write.start_ns)
    starts = [write.start_ns for write in inorder]
    ends = [write.end_ns for write in inorder]
    # For each write: the earliest end among it and all that begin later.
    earliest = [*accumulate(reversed(ends), min)][::-1]
    found: dict[_Value, list[_Span]] = defaultdict(list)
    found[before].append(_Span(before, float("-inf"), min(ends, default=float("inf"))))
    for write in writes:
        later = bisect_right(starts, write.end_ns)
        end = earliest[later] if later < len(earliest) else float("inf")
        found[write.value].append(_Span(write.value, write.start_ns, end))
    return dict(found)


def _fresh(options: Options, read: ReportRead, history: _History) -> bool:
    """Whether all options may have had the values of the report at one instant of the read."""
    possible = []
    for name in _OPTION_NAMES:
        value = getattr(options, name)
        spans = history.get((read.entry, name))
        if value is not None and spans is not None:
            possible.append([*spans.get(value, []), *spans.get(None, [])])
    instants = [float(read.start_ns)]
    instants += [s.start for spans in possible for s in spans if s.start > read.start_ns]
    return any(
        all(any(s.start <= instant <= s.end for s in spans) for spans in possible)
        for instant in instants
        if instant <= read.end_ns
    )


def _stale(read: ReportRead, sources: list[Issued]) -> ContentViolation:
    report = sources[-1]
    asked = ", ".join(
        f"{name} {value.hex() if isinstance(value, bytes) else value}"
        for name in _OPTION_NAMES
        if (value := getattr(report.options, name)) is not None
    )
    message = f"report {report.serial} was made for {asked}, which was not in force during the read"
    return ContentViolation(read, Violation.STALE, message, report.serial)
