# SPDX-License-Identifier: MIT
"""When a claim's verdict changed, and where."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.history.database import Entry
from harness.verdict import Status

__all__ = ["Era", "eras"]


@dataclass(frozen=True)
class Era:
    """Runs in a row that found the same of a scenario on a core."""

    entries: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        """The run with which it began."""
        return self.entries[0]

    @property
    def rate(self) -> tuple[int, int]:
        """How many verdicts were like the era's, of how many that were decided."""
        same = sum(entry.counts.get(self.first.status, 0) for entry in self.entries)
        decided = (Status.FAIL, Status.PASS)
        told = sum(n for e in self.entries for status, n in e.counts.items() if status in decided)
        return same, max(told, same)

    @property
    def median_s(self) -> float:
        """The median of its runs' medians, in seconds."""
        return statistics.median(entry.median_s for entry in self.entries)


def eras(entries: Sequence[Entry]) -> dict[tuple[str, ...], list[Era]]:
    """For each claim, scenario, line of kernels, core and provider its eras, the oldest first.

    Kernels of a line (6.12, 7.3) follow each other: where one finds what the one before it did
    not, an era begins.
    """
    places: dict[tuple[str, ...], list[Entry]] = {}
    for entry in entries:
        line = ".".join(entry.kernel.split(".")[:2])
        place = (entry.claim, entry.scenario, line, entry.tsm, entry.provider)
        places.setdefault(place, []).append(entry)
    return {place: _cut(members) for place, members in sorted(places.items())}


def _cut(entries: Sequence[Entry]) -> list[Era]:
    found: list[list[Entry]] = []
    for entry in entries:
        if not found or found[-1][-1].status is not entry.status:
            found.append([])
        found[-1].append(entry)
    return [Era(tuple(members)) for members in found]
