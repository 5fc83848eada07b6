# SPDX-License-Identifier: MIT
"""Timelines: the order of events, calls that have not returned, and a guest's text."""

from __future__ import annotations

import dataclasses

import pytest

from harness.report.timeline import Mark, Span, provider_marks, requests, timeline_text
from harness.report.timeline_file import Timeline
from harness.report.timeline_grid import Grid, grid_of

SPANS = [
    Span("actor 1", "read of outblob", 10.0, 10.5, "EIO"),
    Span("actor 2", "write to inblob", 10.1, 10.2, "ok"),
    Span("actor 3", "read of generation", 10.3, None, "has not returned"),
]
MARKS = [Mark(9.9, "the driver reports its registration"), Mark(10.4, "request 2 arrives")]


def test_events_are_in_order_and_a_call_around_others_has_two_lines() -> None:
    assert timeline_text(SPANS, MARKS) == [
        "      0.0 ms  provider  the driver reports its registration",
        "    100.0 ms  actor 1   read of outblob ...",
        "    200.0 ms  actor 2   write to inblob: ok",
        "    400.0 ms  actor 3   read of generation ...",
        "    500.0 ms  provider  request 2 arrives",
        "    600.0 ms  actor 1   ... read of outblob: EIO",
        "              actor 3   read of generation has not returned",
    ]
    assert timeline_text([], []) == []


def test_frames_of_the_provider_port_become_marks() -> None:
    entry = {"time": 1.5, "type": "REPORT", "id": 7, "status": "OK", "fault": "inject=-5"}
    other = {"time": 2.0, "type": "PING", "id": 1, "status": "OK", "fault": ""}
    note = {"time": 3.0, "type": "NOTE", "id": 0, "status": "", "fault": "", "summary": "held"}
    assert provider_marks([entry, other, note]) == [
        Mark(1.5, "request 7 arrives (inject=-5)"),
        Mark(3.0, "held"),
    ]


def entry(kind: str, time: float, ident: int = 2, **more: object) -> dict[str, object]:
    base = {"time": time, "type": kind, "id": ident, "session": 1, "status": "OK", "fault": ""}
    return {**base, "summary": "", **more}


def test_a_request_becomes_a_bar_with_its_nonce_and_its_answer() -> None:
    made = requests(
        [
            entry("REPORT", 1.0, summary="privlevel=0 inblob=0442027aaf1fa95b", fault="inject=-5"),
            entry("PING", 1.1),
            entry("REPORT", 1.2, 3),
            entry("REPORT_REPLY", 1.5, status="INJECT"),
            entry("REPORT_REPLY", 1.6, 9),
        ]
    )
    assert made == [
        Span("provider", "request 2 (inject=-5)", 1.0, 1.5, "INJECT", "0442027a"),
        Span("provider", "request 3", 1.2, None, ""),
    ]


def kinds(grid: Grid) -> list[list[str | None]]:
    return [[cell.kind if cell else None for cell in row.cells] for row in grid.rows]


def test_bars_cover_the_rows_of_their_calls() -> None:
    grid = grid_of(Timeline(SPANS, MARKS))
    assert grid.lanes == ("actor 1", "actor 2", "actor 3", "provider")
    assert [row.time for row in grid.rows] == ["0.0", "100.0", "200.0", "400.0", "500.0", "600.0"]
    assert kinds(grid) == [
        [None, None, None, "event"],
        ["error", None, None, None],
        ["ok", None, None],
        [None, "open", None],
        [None, "event"],
        [None, None],
    ]
    read = grid.rows[1].cells[0]
    assert read is not None
    assert (read.rows, read.outcome, read.lasted) == (5, "EIO", "500.0 ms")
    assert grid.rows[5].ended == (read,)
    assert [row.height for row in grid.rows] == [2, 2, 3, 2, 2, 0]


def test_every_row_of_a_grid_has_one_cell_for_each_column() -> None:
    calls = [Span(f"actor {n % 3}", "read", n / 7, n / 7 + (n * 5 % 11), "ok") for n in range(40)]
    grid = grid_of(Timeline([*calls, Span("actor 9", "read", 1.0, None, "")], MARKS))
    filled = [0] * len(grid.rows)
    for number, row in enumerate(grid.rows):
        for cell in row.cells:
            for covered in range(number, number + (cell.rows if cell else 1)):
                filled[covered] += 1
    assert filled == [len(grid.lanes)] * len(grid.rows)


def test_calls_of_one_actor_that_overlap_have_a_column_each() -> None:
    grid = grid_of(Timeline([Span("a", "one", 1, 3, "ok"), Span("a", "two", 2, 4, "ok")]))
    assert grid.lanes == ("a", "a")


def test_only_the_error_that_decided_is_bad() -> None:
    expected = Span("a", "read", 1, 2, "EIO")
    decisive = dataclasses.replace(expected, lane="b", decisive=True)
    [row] = grid_of(Timeline([expected])).rows
    assert [cell.kind for cell in row.cells if cell] == ["error"]
    [row] = grid_of(Timeline([decisive])).rows
    assert [cell.kind for cell in row.cells if cell] == ["bad"]


def test_splats_have_the_lane_of_the_kernel() -> None:
    splat = Mark(10.2, "BUG: KASAN: double-free in kvfree", "kernel")
    grid = grid_of(Timeline(SPANS, [*MARKS, splat]))
    assert grid.lanes == ("actor 1", "actor 2", "actor 3", "kernel", "provider")
    assert sum(cell.kind == "splat" for row in grid.rows for cell in row.cells if cell) == 1
    assert "    300.0 ms  kernel    BUG: KASAN" in "\n".join(timeline_text(SPANS, [*MARKS, splat]))


def test_of_a_long_timeline_the_end_is_shown() -> None:
    calls = [Span("a", f"call {n}", n, n + 0.5, "ok") for n in range(500)]
    grid = grid_of(Timeline(calls))
    assert grid.omitted == 380 and len(grid.rows) == 120
    last = grid.rows[-1].cells[0]
    assert last is not None and last.text == "call 499"
    assert grid_of(Timeline()).rows == ()


def test_a_timeline_is_read_back_from_its_file() -> None:
    hostile = Span("actor\u202e", "read\x1b[31m of \ud800", 1.0, None, "<b>", "0442", True)
    timeline = Timeline(tuple(SPANS), (*MARKS, Mark(10.0, "BUG", "kernel")))
    assert Timeline.from_json(timeline.to_json()) == timeline
    [span] = Timeline.from_json(Timeline([hostile]).to_json()).spans
    assert "\x1b" not in span.what and "\u202e" not in span.lane and span.decisive
    assert Timeline().to_json() == b""


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"spans": [1], "marks": []}',
        b'{"spans": [], "marks": [{"time": NaN, "text": "", "lane": ""}]}',
        b'{"spans": [], "marks": [{"time": "x", "text": "", "lane": ""}]}',
    ],
)
def test_another_file_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        Timeline.from_json(text)
