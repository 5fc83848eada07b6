# SPDX-License-Identifier: MIT
"""The timeline of a cell: the calls of the actors and the events of the provider, in order.

Times are seconds of the host's CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from harness.oracle.printable import printable

__all__ = ["Mark", "Span", "provider_marks", "timeline_svg", "timeline_text"]

PROVIDER = "provider"

_LANE_HEIGHT, _LEFT, _WIDTH, _MARGIN, _LABEL_WIDTH = 46, 110, 1100, 24, 60  # pixels
_MAX_LINES = 400
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
    """One call of an actor; ``end`` is None while it has not returned."""

    lane: str
    what: str
    begin: float
    end: float | None
    outcome: str


@dataclass(frozen=True)
class Mark:
    """An event of the provider."""

    time: float
    text: str


def provider_marks(transcript: Iterable[Mapping[str, object]]) -> list[Mark]:
    """Return the events in a transcript of the provider port."""
    marks = []
    for entry in transcript:
        kind = str(entry["type"])
        if kind == "NOTE":
            text = str(entry["summary"])  # may contain braces: it is not a format string
        else:
            text = _TEXTS.get(kind, "").format(id=entry["id"], status=entry["status"])
        if text:
            fault = f" ({entry['fault']})" if entry["fault"] else ""
            marks.append(Mark(float(str(entry["time"])), text + fault))
    return marks


def timeline_text(spans: Sequence[Span], marks: Sequence[Mark]) -> list[str]:
    """Return one line for each event: milliseconds since the first event, lane, text."""
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
    return lines[-_MAX_LINES:]


def _between(span: Span, spans: Sequence[Span], marks: Sequence[Mark]) -> bool:
    """Whether another event happened during a call."""
    assert span.end is not None
    times = [mark.time for mark in marks]
    times += [t for other in spans if other is not span for t in (other.begin, other.end or 0.0)]
    return any(span.begin < time < span.end for time in times)


def timeline_svg(spans: Sequence[Span], marks: Sequence[Mark]) -> str:
    """Return the timeline as SVG: a lane for the provider and for each actor, time to the right."""
    lanes = [PROVIDER, *sorted({span.lane for span in spans})]
    times = [t for s in spans for t in (s.begin, s.end or s.begin)] + [m.time for m in marks]
    scale = _Scale(*((min(times), max(times)) if times else (0.0, 1.0)))
    height = len(lanes) * _LANE_HEIGHT + 2 * _MARGIN
    parts = [_HEAD.format(width=_WIDTH, height=height)]
    for number, lane in enumerate(lanes):
        y = _MARGIN + number * _LANE_HEIGHT
        parts.append(f'<text x="8" y="{y + 16}" class="lane">{escape(lane)}</text>')
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _MARGIN}" y1="{y + 12}" y2="{y + 12}"/>')
    parts += [_tick(scale.x(mark.time), height, mark.text) for mark in marks]
    for span in spans:
        y = _MARGIN + lanes.index(span.lane) * _LANE_HEIGHT
        parts.append(_box(span, scale, y, labelled=span is spans[-1]))
    duration = f"{(scale.end - scale.start) * 1000:.1f} ms"
    parts.append(f'<text x="{_WIDTH - _MARGIN}" y="{height - 6}" class="end">{duration}</text>')
    return "\n".join([*parts, "</svg>\n"])


@dataclass(frozen=True)
class _Scale:
    """The times at the left and the right end of the picture."""

    start: float
    end: float

    def x(self, time: float) -> float:
        """Return the horizontal position of a time."""
        width = _WIDTH - _LEFT - _MARGIN
        return _LEFT + (time - self.start) * width / max(self.end - self.start, 1e-6)


def _box(span: Span, scale: _Scale, y: int, *, labelled: bool) -> str:
    """Return the rectangle of a call; a wide one has a label, and so has a ``labelled`` one."""
    x = scale.x(span.begin)
    width = max(scale.x(scale.end if span.end is None else span.end) - x, 3)
    kind = "open" if span.end is None else ("good" if span.outcome == "ok" else "bad")
    title = escape(f"{span.what}: {span.outcome}")
    box = (
        f'<rect x="{x:.1f}" y="{y + 4}" width="{width:.1f}" height="16" '
        f'class="{kind}"><title>{title}</title></rect>'
    )
    if width <= _LABEL_WIDTH and not labelled:
        return box
    label = escape(span.what.rpartition("/")[2][: int(width / 6) + 12])
    return f'{box}\n<text x="{x:.1f}" y="{y + 32}">{label}</text>'


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
