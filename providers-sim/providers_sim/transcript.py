# SPDX-License-Identifier: MIT
"""Records of what crossed the provider port, and of what evidence was given out."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, Literal, TypeVar

from tsmw.report import Evidence, ReportRequest

__all__ = ["BoundedLog", "Entry", "IssuedReport", "Transcript"]

T = TypeVar("T")

_MAX_ENTRIES = 100_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame, or a thing the loop did (type NOTE).

    ``time`` is the host's CLOCK_MONOTONIC in seconds, ``size`` the payload's bytes. ``fault``
    says what was injected.
    """

    time: float
    direction: Literal["guest>host", "host>guest", "host"]
    type: str
    id: int
    session: int
    status: str
    size: int
    summary: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class IssuedReport:
    """Evidence whose reply was handed to the port undamaged; ``time`` as in Entry."""

    request: ReportRequest
    evidence: Evidence
    time: float


class BoundedLog(Generic[T]):
    """The latest items, up to a total weight; ``dropped`` counts the older ones that had to go.

    The newest item is always kept, whatever its weight.
    """

    def __init__(self, limit: int, weigh: Callable[[T], int] = lambda _: 1) -> None:
        self._items: deque[tuple[int, T]] = deque()
        self._limit = limit
        self._weigh = weigh
        self._weight = 0
        self._lock = Lock()
        self.dropped = 0

    def append(self, item: T) -> None:
        """Add ``item``, dropping the oldest while the limit is exceeded."""
        weight = self._weigh(item)
        with self._lock:
            self._items.append((weight, item))
            self._weight += weight
            while self._weight > self._limit and len(self._items) > 1:
                self._weight -= self._items.popleft()[0]
                self.dropped += 1

    def items(self) -> tuple[T, ...]:
        """Return what is kept, oldest first."""
        with self._lock:
            return tuple(item for _, item in self._items)


class Transcript(BoundedLog[Entry]):
    """Everything that crossed the port, oldest first."""

    def __init__(self, limit: int = _MAX_ENTRIES) -> None:
        super().__init__(limit)

    @property
    def truncated(self) -> bool:
        """Whether older entries are missing."""
        return self.dropped > 0

    def to_jsonl(self, path: Path) -> None:
        """Write one JSON object a line; when truncated, the first says how many are missing."""
        with path.open("w", encoding="utf-8") as file:
            if self.truncated:
                file.write(json.dumps({"dropped": self.dropped}) + "\n")
            for entry in self.items():
                file.write(json.dumps(asdict(entry)) + "\n")
