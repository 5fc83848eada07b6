# SPDX-License-Identifier: MIT
"""How long steps show themselves: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress

__all__ = ["NullProgress", "Progress", "Step", "terminal_progress"]

_PLAIN_SECONDS = 10.0  # between two lines of one step
_COUNTED = 1 << 20  # a total below it counts things, one above bytes


class Step(Protocol):
    """A step that is going on."""

    def advance(self, amount: int) -> None:
        """So much more of the step's total is done."""

    def describe(self, words: str) -> None:
        """Show other words for what is going on."""


class Progress(Protocol):
    """Where steps are shown."""

    def step(self, words: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Show ``words`` while the context lasts; ``total`` makes it a bar."""


class _SilentStep:
    def advance(self, amount: int) -> None:
        pass

    def describe(self, words: str) -> None:
        pass


class NullProgress:
    """Shows nothing."""

    @contextmanager
    def step(self, words: str, total: int | None = None) -> Iterator[Step]:
        """Do as asked, silently."""
        yield _SilentStep()


class _PlainStep:
    """Says now and then how far a step has come."""

    def __init__(self, console: Console, words: str, total: int | None) -> None:
        self._console = console
        self._words = words
        self._total = total
        self._done = 0
        self._said = time.monotonic()

    def advance(self, amount: int) -> None:
        self._done += amount
        now = time.monotonic()
        if self._total and now - self._said >= _PLAIN_SECONDS:
            self._said = now
            share = f"{self._done / self._total:.0%}"
            self._console.print(f"{self._words}: {share} done", markup=False)

    def describe(self, words: str) -> None:
        now = time.monotonic()
        if now - self._said >= _PLAIN_SECONDS:
            self._said = now
            self._console.print(words, markup=False)


class _PlainProgress:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, words: str, total: int | None = None) -> Iterator[Step]:
        self._console.print(f"{words} ...", markup=False)
        start = time.monotonic()
        yield _PlainStep(self._console, words, total)
        seconds = time.monotonic() - start
        if seconds >= 1:
            self._console.print(f"{words}: done in {seconds:.1f} s", markup=False)


class _LiveStep:
    def __init__(self, display: RichProgress, task: TaskID) -> None:
        self._display = display
        self._task = task

    def advance(self, amount: int) -> None:
        self._display.advance(self._task, amount)

    def describe(self, words: str) -> None:
        self._display.update(self._task, description=words)


class _LiveProgress:
    """All steps share one display, which lives as long as any of them: threads may overlap."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._display: RichProgress | None = None
        self._steps = 0

    @contextmanager
    def step(self, words: str, total: int | None = None) -> Iterator[Step]:
        display = self._enter(total)
        task = display.add_task(words, total=total)
        try:
            yield _LiveStep(display, task)
        finally:
            display.remove_task(task)
            self._leave(display)

    def _enter(self, total: int | None) -> RichProgress:
        with self._lock:
            if self._display is None:
                counted = total is not None and total < _COUNTED
                self._display = RichProgress(
                    SpinnerColumn(),
                    TextColumn("{task.description}", markup=False),
                    BarColumn(bar_width=24),
                    MofNCompleteColumn() if counted else TaskProgressColumn(),
                    TimeElapsedColumn(),
                    console=self._console,
                    transient=True,
                    # rich would put back, at the end, the streams it found at the start: with a
                    # display that starts while stdout is captured, those are the captured ones.
                    redirect_stdout=False,
                    redirect_stderr=False,
                )
                self._display.start()
            self._steps += 1
            return self._display

    def _leave(self, display: RichProgress) -> None:
        with self._lock:
            self._steps -= 1
            if self._steps == 0:
                display.stop()
                self._display = None


def terminal_progress(console: Console) -> Progress:
    """Live on a terminal, a line at the start and end of each step otherwise."""
    return _LiveProgress(console) if console.is_terminal else _PlainProgress(console)
