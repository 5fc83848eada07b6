# SPDX-License-Identifier: MIT
"""Finds when a claim's verdict changed, and on which kernel."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from harness.history.database import Entry
from harness.verdict import Status

__all__ = ["Period", "Place", "periods"]


@dataclass(frozen=True, order=True)
class Place:
    """What has one history: a scenario on an implementation, with a provider.

    ``kernel_line`` is the kernel's version up to the second number, like 6.12: its releases
    follow each other.
    """

    claim: str
    scenario: str
    kernel_line: str
    tsm: str
    provider: str


@dataclass(frozen=True)
class Period:
    """Consecutive runs with the same verdict."""

    entries: tuple[Entry, ...]

    @property
    def first(self) -> Entry:
        """The first run."""
        return self.entries[0]

    @property
    def rate(self) -> tuple[int, int]:
        """How many verdicts are that of the period, and how many were decided at all."""
        same = sum(entry.counts.get(self.first.status, 0) for entry in self.entries)
        decided = sum(
            entry.counts.get(status, 0)
            for entry in self.entries
            for status in (Status.FAIL, Status.PASS)
        )
        return same, max(decided, same)

    @property
    def median_s(self) -> float:
        """The median of the medians of the runs, in seconds."""
        return statistics.median(entry.median_s for entry in self.entries)


def periods(entries: Sequence[Entry]) -> dict[Place, list[Period]]:
    """Group entries, which are in order of time, by place and period."""
    places: dict[Place, list[Entry]] = {}
    for entry in entries:
        line = ".".join(entry.kernel.split(".")[:2])
        place = Place(entry.claim, entry.scenario, line, entry.tsm, entry.provider)
        places.setdefault(place, []).append(entry)
    return {place: _split(members) for place, members in sorted(places.items())}


def _split(entries: Sequence[Entry]) -> list[Period]:
    groups: list[list[Entry]] = []
    for entry in entries:
        if not groups or groups[-1][-1].status is not entry.status:
            groups.append([])
        groups[-1].append(entry)
    return [Period(tuple(members)) for members in groups]
