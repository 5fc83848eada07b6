# SPDX-License-Identifier: MIT
"""Timelines: the order of events, calls that have not returned, and a guest's text."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.report.timeline import Mark, Span, provider_marks, timeline_svg, timeline_text

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


def test_the_picture_is_valid_svg_with_every_call() -> None:
    hostile = Span("actor 4", 'read of "<script>&\x1b[31m', 10.0, 10.6, "ok")
    picture = timeline_svg([*SPANS, hostile], MARKS).replace("\x1b", "")
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{space}rect")
    assert len(boxes) == 4
    assert [box.get("class") for box in boxes] == ["bad", "good", "open", "good"]
    lanes = [text.text for text in root.findall(f"{space}text") if text.get("class") == "lane"]
    assert lanes == ["provider", "actor 1", "actor 2", "actor 3", "actor 4"]
    assert len(root.findall(f"{space}circle")) == len(MARKS)
    ElementTree.fromstring(timeline_svg([], []))
