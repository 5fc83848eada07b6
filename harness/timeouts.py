# SPDX-License-Identifier: MIT
"""Deadlines, scaled by how slow this guest was measured to be."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.errors import DeadlineError

__all__ = ["Deadline", "Timeouts"]

_REFERENCE_PING_S = 0.0005
_LARGEST_SCALE = 30.0


@dataclass(frozen=True)
class Deadline:
    """By ``at`` (``time.monotonic``) ``condition`` must hold; ``allowed_s`` is the whole wait."""

    at: float
    condition: str
    allowed_s: float

    @property
    def expired(self) -> bool:
        """Whether no time is left."""
        return self.at <= time.monotonic()

    def remaining(self) -> float:
        """Seconds left; raises :class:`DeadlineError` when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise DeadlineError(f"{self.condition} did not happen within {self.allowed_s:.1f} s")
        return left


@dataclass(frozen=True)
class Timeouts:
    """Scales timeouts: ``scale`` is 1 for an idle host, more for a slow guest."""

    scale: float = 1.0

    @classmethod
    def calibrated(cls, ping_s: float) -> Timeouts:
        """The timeouts for a guest whose median round trip takes ``ping_s`` seconds."""
        return cls(min(max(1.0, ping_s / _REFERENCE_PING_S), _LARGEST_SCALE))

    def scaled(self, seconds: float) -> float:
        """The timeout that is ``seconds`` on an idle host."""
        return seconds * self.scale

    def deadline(self, seconds: float, condition: str) -> Deadline:
        """The deadline ``seconds`` (scaled) from now; ``condition`` names it in messages."""
        allowed = self.scaled(seconds)
        return Deadline(time.monotonic() + allowed, condition, allowed)
