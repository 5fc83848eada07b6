# SPDX-License-Identifier: MIT
"""The timeline of a cell: calls of the actors, events of the provider, splats of the kernel.

Times are seconds of the host's CLOCK_MONOTONIC.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.oracle.printable import printable

__all__ = ["KERNEL", "PROVIDER", "Mark", "Span", "provider_marks", "requests", "timeline_text"]

PROVIDER = "provider"
"""The lane of the provider."""
KERNEL = "kernel"
"""The lane of the kernel's splats."""

_MAX_LINES = 400
_NONCE_DIGITS = 8
_NONCE = re.compile(r"\binblob=([0-9a-f]+)")
_TEXTS = {
    "REPORT": "request {id} arrives",
    "REPORT_REPLY": "request {id} is answered, {status}",
    "CANCEL": "a request is cancelled",
    "REGISTERED": "the driver reports its registration",
    "GOING_AWAY": "the provider goes away",
    "RESET": "the session is reset",
}


@dataclass(frozen=True)
class Span:
    """One call of an actor, or one request to the provider; ``end`` is None before it returned.

    ``outcome`` is ``ok`` or the name of an errno. ``nonce`` are the first digits of the nonce that
    was written, or that the report is over. ``decisive``: the failure of this call decided the
    verdict. Other failures were expected: a fault was injected, or the scenario went on.
    """

    lane: str
    what: str
    begin: float
    end: float | None
    outcome: str
    nonce: str = ""
    decisive: bool = False


@dataclass(frozen=True)
class Mark:
    """An event without duration: of the provider, or a splat of the kernel."""

    time: float
    text: str
    lane: str = PROVIDER


def provider_marks(
    transcript: Iterable[Mapping[str, object]], *, without_requests: bool = False
) -> list[Mark]:
    """Return the events in a transcript of the provider port."""
    marks = []
    for entry in transcript:
        kind = str(entry["type"])
        if without_requests and kind in ("REPORT", "REPORT_REPLY"):
            continue
        if kind == "NOTE":
            text = str(entry["summary"])  # may contain braces: it is not a format string
        else:
            text = _TEXTS.get(kind, "").format(id=entry["id"], status=entry["status"])
        if text:
            marks.append(Mark(float(str(entry["time"])), text + _fault(entry)))
    return marks


def requests(transcript: Iterable[Mapping[str, object]]) -> list[Span]:
    """Return the requests in a transcript of the provider port, each with its answer."""
    spans: list[Span] = []
    waiting: dict[tuple[str, str], int] = {}
    for entry in transcript:
        key = (str(entry.get("session")), str(entry["id"]))
        time = float(str(entry["time"]))
        if entry["type"] == "REPORT":
            nonce = _NONCE.search(str(entry.get("summary", "")))
            waiting[key] = len(spans)
            what = f"request {entry['id']}{_fault(entry)}"
            spans.append(
                Span(PROVIDER, what, time, None, "", nonce[1][:_NONCE_DIGITS] if nonce else "")
            )
        elif entry["type"] == "REPORT_REPLY" and key in waiting:
            place = waiting.pop(key)
            status = str(entry["status"])
            outcome = "ok" if status == "OK" else status
            spans[place] = replace(spans[place], end=max(time, spans[place].begin), outcome=outcome)
    return spans


def _fault(entry: Mapping[str, object]) -> str:
    return f" ({entry['fault']})" if entry["fault"] else ""


def timeline_text(spans: Sequence[Span], marks: Sequence[Mark]) -> list[str]:
    """Return one line for each event: milliseconds since the first event, lane, text."""
    events: list[tuple[float, str, str]] = [(mark.time, mark.lane, mark.text) for mark in marks]
    for span in spans:
        short = span.end is not None and not _between(span, spans, marks)
        if short:
            events.append((span.begin, span.lane, f"{span.what}: {span.outcome}"))
            continue
        events.append((span.begin, span.lane, f"{span.what} ..."))
        if span.end is not None:
            events.append((span.end, span.lane, f"... {span.what}: {span.outcome}"))
    events.sort(key=lambda event: event[0])
    start = events[0][0] if events else 0.0
    lines = [
        f"{(t - start) * 1000:9.1f} ms  {lane:<9} {printable(text)}" for t, lane, text in events
    ]
    lines += [f"{'':12}  {s.lane:<9} {printable(s.what)} has not returned"
              for s in spans if s.end is None]  # fmt: skip
    return lines[-_MAX_LINES:]


def _between(span: Span, spans: Sequence[Span], marks: Sequence[Mark]) -> bool:
    """Whether another event happened during a call."""
    assert span.end is not None
    times = [mark.time for mark in marks]
    times += [t for other in spans if other is not span for t in (other.begin, other.end or 0.0)]
    return any(span.begin < time < span.end for time in times)
