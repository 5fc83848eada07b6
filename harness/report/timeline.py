# SPDX-License-Identifier: MIT
"""What led to a verdict: which actor was in which call, and what the provider did, in order.

Times are the host's CLOCK_MONOTONIC in seconds. Calls are timed by the guest's clock, which is
taken to be as far ahead as it is for the call that reached the guest fastest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from harness.oracle.printable import printable

__all__ = ["Mark", "Span", "provider_marks", "timeline_svg", "timeline_text"]

PROVIDER = "provider"

_LANE_HEIGHT, _LEFT, _WIDTH, _MARGIN = 46, 110, 1100, 24
_MOST_LINES = 400
_WORDS = {
    "REPORT": "request {id} arrives",
    "REPORT_REPLY": "request {id} is answered, {status}",
    "CANCEL": "a request is cancelled",
    "REGISTERED": "the driver tells of its registration",
    "GOING_AWAY": "the provider goes away",
    "RESET": "the session is reset",
}


@dataclass(frozen=True)
class Span:
    """One call of an actor; ``end`` is None while it has not returned."""

    lane: str
    what: str
    begin: float
    end: float | None
    outcome: str


@dataclass(frozen=True)
class Mark:
    """Something the provider did or saw."""

    time: float
    text: str


def provider_marks(transcript: Iterable[Mapping[str, object]]) -> list[Mark]:
    """The marks of what crossed the provider port."""
    marks = []
    for entry in transcript:
        kind = str(entry["type"])
        if kind == "NOTE":
            text = str(entry["summary"])  # may hold a guest's words: no format
        else:
            text = _WORDS.get(kind, "").format(id=entry["id"], status=entry["status"])
        if text:
            fault = f" ({entry['fault']})" if entry["fault"] else ""
            marks.append(Mark(float(str(entry["time"])), text + fault))
    return marks


def timeline_text(spans: Sequence[Span], marks: Sequence[Mark]) -> list[str]:
    """One line an event: milliseconds since the first, who, what."""
    events: list[tuple[float, str, str]] = [(mark.time, PROVIDER, mark.text) for mark in marks]
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
    return lines[-_MOST_LINES:]


def _between(span: Span, spans: Sequence[Span], marks: Sequence[Mark]) -> bool:
    """Whether anything else happened during a call."""
    assert span.end is not None
    times = [mark.time for mark in marks]
    times += [t for other in spans if other is not span for t in (other.begin, other.end or 0.0)]
    return any(span.begin < time < span.end for time in times)


def timeline_svg(spans: Sequence[Span], marks: Sequence[Mark]) -> str:
    """The same as a picture: a lane for the provider and for each actor, time to the right."""
    lanes = [PROVIDER, *sorted({span.lane for span in spans})]
    times = [t for s in spans for t in (s.begin, s.end or s.begin)] + [m.time for m in marks]
    start, end = (min(times), max(times)) if times else (0.0, 1.0)
    scale = (_WIDTH - _LEFT - _MARGIN) / max(end - start, 1e-6)
    height = len(lanes) * _LANE_HEIGHT + 2 * _MARGIN

    def x(time: float) -> float:
        return _LEFT + (time - start) * scale

    parts = [_HEAD.format(width=_WIDTH, height=height)]
    for number, lane in enumerate(lanes):
        y = _MARGIN + number * _LANE_HEIGHT
        parts.append(f'<text x="8" y="{y + 16}" class="lane">{escape(lane)}</text>')
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _MARGIN}" y1="{y + 12}" y2="{y + 12}"/>')
    for mark in marks:
        parts.append(_tick(x(mark.time), height, mark.text))
    for span in spans:
        y = _MARGIN + lanes.index(span.lane) * _LANE_HEIGHT
        width = max(x(span.end if span.end is not None else end) - x(span.begin), 3)
        kind = "open" if span.end is None else ("good" if span.outcome == "ok" else "bad")
        title = escape(f"{span.what}: {span.outcome}")
        parts.append(
            f'<rect x="{x(span.begin):.1f}" y="{y + 4}" width="{width:.1f}" height="16" '
            f'class="{kind}"><title>{title}</title></rect>'
        )
        if width > 60 or span is spans[-1]:
            label = escape(span.what.rpartition("/")[2][: int(width / 6) + 12])
            parts.append(f'<text x="{x(span.begin):.1f}" y="{y + 32}">{label}</text>')
    seconds = f"{(end - start) * 1000:.1f} ms"
    parts.append(f'<text x="{_WIDTH - _MARGIN}" y="{height - 6}" class="end">{seconds}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _tick(x: float, height: int, text: str) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_MARGIN}" y2="{height - _MARGIN}" class="mark">'
        f"<title>{escape(text)}</title></line>"
        f'<circle cx="{x:.1f}" cy="{_MARGIN + 12}" r="4"><title>{escape(text)}</title></circle>'
    )


_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<style>
svg {{ background: #fff; font: 12px sans-serif; fill: #222; }}
line {{ stroke: #bbb; }} .mark {{ stroke-dasharray: 2 3; }} circle {{ fill: #36c; }}
.lane {{ font-weight: bold; }} .end {{ text-anchor: end; fill: #666; }}
.good {{ fill: #7a7; }} .bad {{ fill: #c55; }} .open {{ fill: #fa3; }}
@media (prefers-color-scheme: dark) {{
svg {{ background: #1b1b1b; fill: #ddd; }} line {{ stroke: #555; }} circle {{ fill: #7af; }}
}}
</style>"""
