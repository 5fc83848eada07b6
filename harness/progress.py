# SPDX-License-Identifier: MIT
"""Shows the progress of long steps: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import functools
import io
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console, ConsoleDimensions
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

__all__ = [
    "NullProgress",
    "Progress",
    "Step",
    "duplicate_progress",
    "stderr_progress",
    "terminal_progress",
]

_PLAIN_SECONDS = 10.0  # between two lines of one step
_MAX_COUNT = 1 << 20  # a total below counts things, one above counts bytes


class Step(Protocol):
    """A step that is running."""

    def advance(self, amount: int) -> None:
        """Add ``amount`` to what is done of the total."""

    def describe(self, text: str) -> None:
        """Replace the text of the step."""


class Progress(Protocol):
    """Shows steps."""

    def step(self, text: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Show a step during the context; one with a ``total`` has a bar."""


class _NullStep:
    def advance(self, amount: int) -> None:
        pass

    def describe(self, text: str) -> None:
        pass


class NullProgress:
    """Shows nothing."""

    @contextmanager
    def step(self, text: str, total: int | None = None) -> Iterator[Step]:
        """Return a step that is not shown."""
        yield _NullStep()


class _PlainStep:
    """Prints a line from time to time."""

    def __init__(self, console: Console, text: str, total: int | None) -> None:
        self._console = console
        self._text = text
        self._total = total
        self._done = 0
        self._printed = time.monotonic()

    def advance(self, amount: int) -> None:
        self._done += amount
        if self._total:
            self._print(f"{self._text}: {self._done / self._total:.0%} done")

    def describe(self, text: str) -> None:
        self._print(text)

    def _print(self, line: str) -> None:
        now = time.monotonic()
        if now - self._printed >= _PLAIN_SECONDS:
            self._printed = now
            self._console.print(line, markup=False)


class _PlainProgress:
    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, text: str, total: int | None = None) -> Iterator[Step]:
        self._console.print(f"{text} ...", markup=False)
        start = time.monotonic()
        yield _PlainStep(self._console, text, total)
        seconds = time.monotonic() - start
        if seconds >= 1:
            self._console.print(f"{text}: done in {seconds:.1f} s", markup=False)


class _LiveStep:
    def __init__(self, display: RichProgress, task: TaskID) -> None:
        self._display = display
        self._task = task

    def advance(self, amount: int) -> None:
        self._display.advance(self._task, amount)

    def describe(self, text: str) -> None:
        self._display.update(self._task, description=text)


class _DoneColumn(ProgressColumn):
    """Shows how many things are done, or the share of the bytes."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text()
        if task.total >= _MAX_COUNT:
            return Text(f"{task.percentage:.0f}%", style="progress.percentage")
        return Text(f"{task.completed:.0f}/{task.total:.0f}", style="progress.download")


class _LiveProgress:
    """All steps, also those of other threads, share one display while any of them runs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._display: RichProgress | None = None
        self._steps = 0

    @contextmanager
    def step(self, text: str, total: int | None = None) -> Iterator[Step]:
        display = self._enter()
        task = display.add_task(text, total=total)
        try:
            yield _LiveStep(display, task)
        finally:
            display.remove_task(task)
            self._leave(display)

    def _enter(self) -> RichProgress:
        with self._lock:
            if self._display is None:
                self._display = RichProgress(
                    SpinnerColumn(),
                    TextColumn("{task.description}", markup=False),
                    BarColumn(bar_width=24),
                    _DoneColumn(),
                    TimeElapsedColumn(),
                    console=self._console,
                    transient=True,
                    # rich would restore, at the end, the streams that it found at the start. A
                    # display that starts while pytest captures them would restore captured ones.
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


class _DescriptorConsole(Console):
    """Takes the size from the terminal it writes to; rich asks descriptors 0 to 2."""

    @property  # type: ignore[misc] # rich also lets one set it
    def size(self) -> ConsoleDimensions:
        try:
            return ConsoleDimensions(*os.get_terminal_size(self.file.fileno()))
        except OSError:
            return super().size


def terminal_progress(console: Console) -> Progress:
    """Show steps live on a terminal; elsewhere print a line at the start and end of each."""
    live = console.is_terminal and not console.is_dumb_terminal
    return _LiveProgress(console) if live else _PlainProgress(console)


@functools.cache
def stderr_progress() -> Progress:
    """Show steps on standard error.

    They are written to a duplicate of the descriptor, since pytest replaces descriptors 0 to 2
    while a scenario runs in this process.
    """
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, io.UnsupportedOperation):  # a stream of a test
        return terminal_progress(Console(stderr=True))
    return duplicate_progress(descriptor)


def duplicate_progress(descriptor: int) -> Progress:
    """Show steps on a duplicate of a descriptor, which stays open."""
    stream = os.fdopen(descriptor, "w", encoding=sys.stderr.encoding)
    return terminal_progress(_DescriptorConsole(file=stream))
