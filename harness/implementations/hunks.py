# SPDX-License-Identifier: MIT
"""Changes that the later patches of a series make to the files that its earlier ones created."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Hunk", "apply_hunks", "read_hunks"]

_HUNK = re.compile(r"^@@ -(\d{1,7})(?:,(\d{1,7}))? \+\d{1,7}(?:,(\d{1,7}))? @@")


@dataclass(frozen=True)
class Hunk:
    """``old`` lines, near line ``at`` (from 0), become ``new``."""

    at: int
    old: tuple[str, ...]
    new: tuple[str, ...]


def read_hunks(lines: Sequence[str], at: int) -> list[Hunk] | None:
    """The hunks that begin at ``lines[at]``; None when one of them is not whole."""
    hunks: list[Hunk] = []
    while at < len(lines) and (head := _HUNK.match(lines[at])):
        start, counts = int(head[1]), [int(head[n]) if head[n] else 1 for n in (2, 3)]
        old: list[str] = []
        new: list[str] = []
        at += 1
        while [len(old), len(new)] != counts:
            sign, text = (lines[at][:1] or " ", lines[at][1:]) if at < len(lines) else ("", "")
            if sign not in (" ", "-", "+") or len(old) > counts[0] or len(new) > counts[1]:
                return None
            old += [text] if sign != "+" else []
            new += [text] if sign != "-" else []
            at += 1
        hunks.append(Hunk(max(start - 1, 0), tuple(old), tuple(new)))
    return hunks


def apply_hunks(text: str, hunks: Sequence[Hunk]) -> str | None:
    """``text`` after the change; None when it does not apply, near or far from where it says."""
    lines, moved = text.splitlines(), 0
    for hunk in hunks:
        place = next(_places(lines, hunk, hunk.at + moved), None)
        if place is None:
            return None
        lines[place : place + len(hunk.old)] = hunk.new
        moved = place - hunk.at + len(hunk.new) - len(hunk.old)
    return "".join(f"{line}\n" for line in lines)


def _places(lines: list[str], hunk: Hunk, expected: int) -> Iterator[int]:
    """Where the old lines stand, the nearest first."""
    last = len(lines) - len(hunk.old)
    near = sorted(range(last + 1), key=lambda place: abs(place - expected))
    first = hunk.old[:1]
    return (
        place
        for place in near
        if tuple(lines[place : place + 1])[: len(first)] == first
        and tuple(lines[place : place + len(hunk.old)]) == hunk.old
    )
