# SPDX-License-Identifier: MIT
"""Writes frames, and what the host did about them, into a transcript."""

from __future__ import annotations

from time import monotonic
from typing import Literal

from providers_sim.transcript import Entry, Transcript
from tsmw.constants import REPLY, FrameType, Status
from tsmw.frame import Frame

__all__ = ["Recorder"]

_STATUS_NAMES = {int(status): status.name for status in Status}
_TYPE_NAMES = {int(kind): kind.name for kind in FrameType} | {
    kind | REPLY: f"{kind.name}_REPLY" for kind in FrameType
}


class Recorder:
    """Appends to ``transcript``."""

    def __init__(self) -> None:
        self.transcript = Transcript()

    def saw(self, frame: Frame, summary: str, fault: str = "") -> None:
        """Record a frame from the guest."""
        self._record("guest>host", frame, len(frame.payload), summary, fault)

    def sent(self, frame: Frame, size: int, summary: str, fault: str = "") -> None:
        """Record a frame to the guest; ``size`` is its payload's, in bytes."""
        self._record("host>guest", frame, size, summary, fault)

    def note(self, session: int, summary: str) -> None:
        """Record something the host did without a frame."""
        self.transcript.append(Entry(monotonic(), "host", "NOTE", 0, session, "", 0, summary))

    def _record(
        self,
        direction: Literal["guest>host", "host>guest"],
        frame: Frame,
        size: int,
        summary: str,
        fault: str,
    ) -> None:
        self.transcript.append(
            Entry(
                monotonic(),
                direction,
                _TYPE_NAMES.get(frame.type, f"{frame.type:#x}"),
                frame.id,
                frame.session,
                _STATUS_NAMES.get(frame.status, str(frame.status)),
                size,
                summary,
                fault,
            )
        )
