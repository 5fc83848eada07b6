# SPDX-License-Identifier: MIT
"""Records of what crossed the provider port, and of the evidence that was sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Generic, Literal, TypeVar

from tsmw.constants import REPLY, FrameType, Status
from tsmw.frame import Frame
from tsmw.report import Evidence, ReportRequest

__all__ = ["BoundedLog", "Entry", "IssuedReport", "Transcript"]

T = TypeVar("T")

_MAX_ENTRIES = 100_000
_STATUS_NAMES = {int(status): status.name for status in Status}
_TYPE_NAMES = {int(kind): kind.name for kind in FrameType} | {
    kind | REPLY: f"{kind.name}_REPLY" for kind in FrameType
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One frame, or an action of the host without a frame (type NOTE).

    ``time`` is the host's CLOCK_MONOTONIC in seconds, ``size`` the length of the payload in
    bytes, ``fault`` the fault that was injected.
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
    """The latest items up to a total size; ``dropped`` counts the older items that were removed.

    The newest item is always kept, whatever its size.
    """

    def __init__(self, limit: int, size: Callable[[T], int] = lambda _: 1) -> None:
        self._items: deque[tuple[int, T]] = deque()
        self._limit = limit
        self._size_of = size
        self._total = 0
        self._lock = Lock()
        self.dropped = 0

    def append(self, item: T) -> None:
        """Add ``item`` and remove the oldest items while the limit is exceeded."""
        size = self._size_of(item)
        with self._lock:
            self._items.append((size, item))
            self._total += size
            while self._total > self._limit and len(self._items) > 1:
                self._total -= self._items.popleft()[0]
                self.dropped += 1

    def items(self) -> tuple[T, ...]:
        """Return the items, oldest first."""
        with self._lock:
            return tuple(item for _, item in self._items)


class Transcript(BoundedLog[Entry]):
    """Everything that crossed the port, oldest first."""

    def __init__(self) -> None:
        super().__init__(_MAX_ENTRIES)

    def received(self, frame: Frame, summary: str, fault: str = "") -> None:
        """Record a frame from the guest."""
        self._frame("guest>host", frame, len(frame.payload), summary, fault)

    def sent(self, frame: Frame, size: int, summary: str, fault: str = "") -> None:
        """Record a frame to the guest whose payload has ``size`` bytes."""
        self._frame("host>guest", frame, size, summary, fault)

    def note(self, session: int, summary: str) -> None:
        """Record an action of the host without a frame."""
        self.append(Entry(monotonic(), "host", "NOTE", 0, session, "", 0, summary))

    def _frame(
        self,
        direction: Literal["guest>host", "host>guest"],
        frame: Frame,
        size: int,
        summary: str,
        fault: str,
    ) -> None:
        kind = _TYPE_NAMES.get(frame.type, f"{frame.type:#x}")
        status = _STATUS_NAMES.get(frame.status, str(frame.status))
        self.append(
            Entry(
                monotonic(), direction, kind, frame.id, frame.session, status, size, summary, fault
            )
        )
