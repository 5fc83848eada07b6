# SPDX-License-Identifier: MIT
"""Shows the progress of a run: how many cells are decided, and the latest verdict."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from harness.progress import Progress, Step
from harness.verdict import Cell, CellResult

__all__ = ["LiveRun"]


class LiveRun:
    """A progress step that lasts from :meth:`start` to the end of the context."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._stack = ExitStack()
        self._step: Step | None = None
        self._counted: set[Cell] = set()

    def start(self, cells: int | None) -> None:
        """Start the step; the number of ``cells`` may be unknown."""
        self._step = self._stack.enter_context(self.progress.step("deciding", total=cells))

    def show(self, result: CellResult) -> None:
        """Show the latest verdict, and count its cell once.

        A FAIL comes twice: when it is seen, and after the clean-up of its cell.
        """
        if self._step is not None:
            cell = result.cell
            if cell not in self._counted:
                self._counted.add(cell)
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
        self._stack.__exit__(kind, error, trace)
