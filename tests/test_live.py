# SPDX-License-Identifier: MIT
"""The progress of a run: every cell is counted once, and the latest verdict is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.cli.live import LiveRun
from harness.progress import Step
from harness.verdict import Cell, CellResult, Status


class Recorder:
    """A progress, and its only step, that records what it is told."""

    def __init__(self) -> None:
        self.done = 0
        self.texts: list[str] = []

    @contextmanager
    def step(self, text: str, total: int | None = None) -> Iterator[Step]:
        """Start the step."""
        self.texts.append(f"{text} {total}")
        yield self

    def advance(self, amount: int) -> None:
        self.done += amount

    def describe(self, text: str) -> None:
        self.texts.append(text)


def result(status: Status, seed: int = 0) -> CellResult:
    """A verdict on T1."""
    cell = Cell("T1", "test_a", "6.12", "class-fixed", "sev-snp", seed)
    return CellResult(cell, status, Status.PASS, 0.5, "", "tsm-harness run T1")


def test_fail_that_comes_again_after_its_clean_up_is_counted_once() -> None:
    recorder = Recorder()
    with LiveRun(recorder) as live:
        live.start(2)
        live.show(result(Status.FAIL))
        live.show(result(Status.FAIL))
        live.show(result(Status.PASS, seed=1))
    assert recorder.done == 2
    assert recorder.texts == [
        "deciding 2",
        "deciding: T1 on class-fixed: FAIL",
        "deciding: T1 on class-fixed: FAIL",
        "deciding: T1 on class-fixed: PASS",
    ]
