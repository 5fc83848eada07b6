# SPDX-License-Identifier: MIT
"""What a run looks like while it goes on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType

from harness.progress import Progress, Step
from harness.verdict import CellResult

__all__ = ["LiveRun"]


class LiveRun:
    """A bar over the cells, with the latest verdict."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._bar: AbstractContextManager[Step] | None = None
        self._step: Step | None = None

    def start(self, cells: int | None) -> None:
        """It begins; how many ``cells`` there are may be unknown."""
        self._bar = self.progress.step("deciding", total=cells)
        self._step = self._bar.__enter__()

    def result(self, result: CellResult) -> None:
        """One more verdict."""
        if self._step is not None:
            cell = result.cell
            self._step.advance(1)
            self._step.describe(f"deciding: {cell.claim} on {cell.tsm}: {result.status.value}")

    def __enter__(self) -> LiveRun:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.__exit__(kind, error, trace)
