# SPDX-License-Identifier: MIT
"""A timeline as a grid: a row for each moment, from the top down, and a column for each lane.

A call is a bar over the rows from its start to its end. So a reader sees which calls overlap, and
each label has room, however short its call was. A row is taller where more time passes.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from harness.report.timeline import KERNEL, PROVIDER, Mark, Span
from harness.report.timeline_file import Timeline

__all__ = ["Bar", "Grid", "Row", "grid_of"]

_MAX_ROWS = 120
_HEIGHTS_MS = (2.0, 20.0, 200.0)  # the gap before the next row from which a row is taller


@dataclass(frozen=True)
class Bar:
    """A call, a request or an event in the grid; ``rows`` is how many rows it covers.

    ``kind`` is ``event``, ``splat``, ``ok``, ``error`` (an expected errno), ``bad`` (the errno
    that decided the verdict), or ``open`` (it has not returned).
    """

    lane: str
    text: str
    kind: str
    rows: int = 1
    nonce: str = ""
    outcome: str = ""
    lasted: str = ""


@dataclass(frozen=True)
class Row:
    """A moment, in milliseconds since the first event.

    ``cells`` has a bar, an empty cell (None), or nothing for a column that a bar from above
    covers. ``ended`` are the bars that end here and began above. ``height`` is 0 to 3.
    """

    time: str
    cells: tuple[Bar | None, ...]
    ended: tuple[Bar, ...]
    height: int


@dataclass(frozen=True)
class Grid:
    """The columns by name, and the rows; ``omitted`` events came before the first row."""

    lanes: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    omitted: int = 0


@dataclass(frozen=True)
class _Event:
    lane: str
    begin: float
    end: float
    bar: Bar


def grid_of(timeline: Timeline) -> Grid:
    """Arrange a timeline; of a long one, its end."""
    events = sorted(_events(timeline), key=lambda event: (event.begin, event.end))
    omitted = max(0, len(events) - _MAX_ROWS)
    events = events[omitted:]
    if not events:
        return Grid()
    times, columns = _times(events), _columns(events)
    placed: dict[tuple[int, int], Bar] = {}
    covered: set[tuple[int, int]] = set()
    ended: dict[int, list[Bar]] = {}
    for event, column in zip(events, columns.of_event, strict=True):
        first = bisect.bisect_left(times, event.begin)
        last = max(first, bisect.bisect_right(times, event.end) - 1)
        bar = placed[first, column] = replace(event.bar, rows=last - first + 1)
        covered.update((row, column) for row in range(first + 1, last + 1))
        if last > first and bar.kind != "open":
            ended.setdefault(last, []).append(bar)
    rows = [
        Row(
            f"{(time - times[0]) * 1000:.1f}",
            tuple(
                placed.get((number, column))
                for column in range(len(columns.lanes))
                if (number, column) not in covered
            ),
            tuple(ended.get(number, ())),
            _height(times, number),
        )
        for number, time in enumerate(times)
    ]
    return Grid(columns.lanes, tuple(rows), omitted)


def _events(timeline: Timeline) -> Iterable[_Event]:
    last = max(
        [mark.time for mark in timeline.marks]
        + [time for span in timeline.spans for time in (span.begin, span.end or span.begin)],
        default=0.0,
    )
    for mark in timeline.marks:
        yield _Event(mark.lane, mark.time, mark.time, _bar_of_mark(mark))
    for span in timeline.spans:
        yield _Event(span.lane, span.begin, last if span.end is None else span.end, _bar(span))


def _bar_of_mark(mark: Mark) -> Bar:
    return Bar(mark.lane, mark.text, "splat" if mark.lane == KERNEL else "event")


def _bar(span: Span) -> Bar:
    if span.end is None:
        return Bar(span.lane, span.what, "open", nonce=span.nonce, outcome="has not returned")
    kind = "ok" if span.outcome == "ok" else "bad" if span.decisive else "error"
    lasted = f"{(span.end - span.begin) * 1000:.1f} ms"
    return Bar(span.lane, span.what, kind, 1, span.nonce, span.outcome, lasted)


@dataclass(frozen=True)
class _Columns:
    lanes: tuple[str, ...]
    of_event: tuple[int, ...]


def _columns(events: Sequence[_Event]) -> _Columns:
    """Give each event a column: a lane has several where its events overlap."""
    ends: dict[str, list[float]] = {}
    chosen: list[tuple[str, int]] = []
    for event in events:
        taken = ends.setdefault(event.lane, [])
        free = next((n for n, end in enumerate(taken) if end < event.begin), len(taken))
        taken[free : free + 1] = [event.end]
        chosen.append((event.lane, free))
    appeared = list(dict.fromkeys(lane for lane, _ in chosen))
    order = sorted(set(chosen), key=lambda c: (_rank(c[0]), appeared.index(c[0]), c[1]))
    return _Columns(tuple(lane for lane, _ in order), tuple(order.index(each) for each in chosen))


def _rank(lane: str) -> int:
    """Order the lanes: actors, then the kernel, then the provider."""
    return {KERNEL: 1, PROVIDER: 2}.get(lane, 0)


def _times(events: Sequence[_Event]) -> list[float]:
    """Return the moments that need a row: starts, and ends with another event before them."""
    begins = sorted({event.begin for event in events})
    times = set(begins)
    for event in events:
        later = bisect.bisect_right(begins, event.begin)
        other_end = any(
            event.begin < other.end < event.end for other in events if other is not event
        )
        if other_end or (later < len(begins) and begins[later] <= event.end):
            times.add(event.end)
    return sorted(times)


def _height(times: Sequence[float], number: int) -> int:
    if number + 1 == len(times):
        return 0
    gap = (times[number + 1] - times[number]) * 1000
    return sum(gap >= limit for limit in _HEIGHTS_MS)
