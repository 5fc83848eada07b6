# SPDX-License-Identifier: MIT
"""Reads and applies hunks: changes by later patches of a series to files of its earlier ones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Hunk", "apply_hunks", "read_hunks"]

_HEADER = re.compile(r"^@@ -(\d{1,7})(?:,(\d{1,7}))? \+\d{1,7}(?:,(\d{1,7}))? @@")


@dataclass(frozen=True)
class Hunk:
    """``old`` lines, expected at line ``start`` (from 0), become ``new`` lines."""

    start: int
    old: tuple[str, ...]
    new: tuple[str, ...]


def read_hunks(lines: Sequence[str], index: int) -> list[Hunk] | None:
    """Read the hunks that begin at ``lines[index]``; None when one of them is incomplete."""
    hunks: list[Hunk] = []
    while index < len(lines) and (header := _HEADER.match(lines[index])):
        start, counts = int(header[1]), [int(header[n]) if header[n] else 1 for n in (2, 3)]
        old: list[str] = []
        new: list[str] = []
        index += 1
        while [len(old), len(new)] != counts:
            line = lines[index] if index < len(lines) else "\\"
            sign, text = line[:1] or " ", line[1:]
            if sign not in (" ", "-", "+") or len(old) > counts[0] or len(new) > counts[1]:
                return None
            old += [text] if sign != "+" else []
            new += [text] if sign != "-" else []
            index += 1
        hunks.append(Hunk(max(start - 1, 0), tuple(old), tuple(new)))
    return hunks


def apply_hunks(text: str, hunks: Sequence[Hunk]) -> str | None:
    """Apply the hunks to ``text``, each at the nearest match; None when one has no match."""
    lines, shift = text.splitlines(), 0
    for hunk in hunks:
        position = next(_matches(lines, hunk, hunk.start + shift), None)
        if position is None:
            return None
        lines[position : position + len(hunk.old)] = hunk.new
        shift = position - hunk.start + len(hunk.new) - len(hunk.old)
    return "".join(f"{line}\n" for line in lines)


def _matches(lines: list[str], hunk: Hunk, expected: int) -> Iterator[int]:
    """The positions of the old lines, the nearest to ``expected`` first."""
    last = len(lines) - len(hunk.old)
    nearest_first = sorted(range(last + 1), key=lambda position: abs(position - expected))
    first = hunk.old[:1]
    return (
        position
        for position in nearest_first
        # Compare one line before all of them: most positions differ there.
        if tuple(lines[position : position + 1])[: len(first)] == first
        and tuple(lines[position : position + len(hunk.old)]) == hunk.old
    )
