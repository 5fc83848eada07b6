# SPDX-License-Identifier: MIT
"""The measurements of exploration: sequences, their operations, and the time to find a defect."""

from __future__ import annotations

import statistics
import time

from harness.explore.explore import Budget, explore
from harness.explore.explorer import Explorer
from harness.explore.systematic import systematic_programs
from harness.session import Session

__all__ = ["KNOWN_BAD", "sequences", "time_to_find"]

KNOWN_BAD = "defect:short-generation"
"""The mutant whose defect :func:`time_to_find` finds."""


def sequences(session: Session, kernel: str, tsm: str, rounds: int) -> tuple[float, float]:
    """Time one program of exploration, its clone included, and one operation of a program.

    Both in seconds; the first is a median, the second the mean over all programs.
    """
    explorer = Explorer(session, kernel, tsm)
    programs = list(systematic_programs(explorer.detect(), "behaviour"))
    stride = max(len(programs) // rounds, 1)
    times: list[float] = []
    operations = 0
    for program in programs[::stride][:rounds]:
        start = time.perf_counter()
        explorer.run(program)
        times.append(time.perf_counter() - start)
        operations += len(program.steps)
    return statistics.median(times), sum(times) / operations


def time_to_find(session: Session, kernel: str) -> float:
    """Time from the start of an exploration to the shortest program that shows the defect."""
    explorer = Explorer(session, kernel, KNOWN_BAD)
    explorer.detect()
    start = time.perf_counter()
    explore(explorer, "behaviour", Budget(findings=1))
    return time.perf_counter() - start
