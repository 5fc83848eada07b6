# SPDX-License-Identifier: MIT
"""How long a condition may take, scaled by how slow this guest was measured to be."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.errors import DeadlineError

__all__ = ["Deadline", "Timeouts"]

_REFERENCE_PING_S = 0.0005
_LARGEST_SCALE = 30.0


@dataclass(frozen=True)
class Deadline:
    """A moment (``time.monotonic``) by which ``what`` must have come true."""

    at: float
    what: str
    allowed: float

    def remaining(self) -> float:
        """Seconds left; raises :class:`DeadlineError` when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"{self.what} did not happen within {self.allowed:.1f} s")
        return left


@dataclass(frozen=True)
class Timeouts:
    """Turns the seconds a condition may take on an idle machine into a deadline on this one."""

    scale: float = 1.0

    @classmethod
    def calibrated(cls, ping_s: float) -> Timeouts:
        """From the median round trip to the guest, in seconds."""
        return cls(min(max(1.0, ping_s / _REFERENCE_PING_S), _LARGEST_SCALE))

    def seconds(self, base: float) -> float:
        """``base`` seconds, scaled."""
        return base * self.scale

    def deadline(self, base: float, what: str) -> Deadline:
        """A deadline ``base`` (scaled) seconds from now, for the condition ``what``."""
        allowed = self.seconds(base)
        return Deadline(time.monotonic() + allowed, what, allowed)
