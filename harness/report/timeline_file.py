# SPDX-License-Identifier: MIT
"""The file ``timeline.json`` among the artifacts: the timeline of a cell, to be shown later."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.oracle.printable import printable
from harness.report.timeline import Mark, Span

__all__ = ["Timeline"]

_MAX_TEXT = 500  # characters of one label


@dataclass(frozen=True)
class Timeline:
    """The calls and requests of a cell, and the events without duration."""

    spans: Sequence[Span] = ()
    marks: Sequence[Mark] = ()

    def __bool__(self) -> bool:
        """Whether anything happened."""
        return bool(self.spans or self.marks)

    def to_json(self) -> bytes:
        """Return the content of the file; empty without events."""
        if not self:
            return b""
        data = {"spans": [asdict(s) for s in self.spans], "marks": [asdict(m) for m in self.marks]}
        return (json.dumps(data, indent=1) + "\n").encode("ascii")

    @classmethod
    def from_json(cls, text: bytes) -> Timeline:
        """Read the file; raises :class:`ValueError` for anything else."""
        try:
            data = json.loads(text)
            return cls(
                tuple(_span(each) for each in data["spans"]),
                tuple(_mark(each) for each in data["marks"]),
            )
        except (LookupError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"this is not a timeline: {error!r}") from error


def _span(data: Mapping[str, Any]) -> Span:
    end = data["end"]
    begin = _time(data["begin"])
    return Span(
        _text(data["lane"]),
        _text(data["what"]),
        begin,
        None if end is None else max(_time(end), begin),
        _text(data["outcome"]),
        _text(data["nonce"]),
        bool(data["decisive"]),
    )


def _mark(data: Mapping[str, Any]) -> Mark:
    return Mark(_time(data["time"]), _text(data["text"]), _text(data["lane"]))


def _text(value: object) -> str:
    return printable(str(value), _MAX_TEXT)


def _time(value: object) -> float:
    time = float(str(value))
    if not math.isfinite(time):
        raise ValueError(f"this is not a time: {value!r}")
    return time
