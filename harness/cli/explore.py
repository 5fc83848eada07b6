# SPDX-License-Identifier: MIT
"""``explore``: compares an implementation with the model of the interface."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.console import Console

from harness.cli import options
from harness.cli.findings import print_coverage, print_findings, print_part, print_result
from harness.cli.messages import print_note
from harness.errors import TsmHarnessError, UsageError
from harness.explore.coverage import Coverage
from harness.explore.explore import Budget, Exploration, explore
from harness.explore.explorer import Explorer, Trial
from harness.explore.systematic import PARTS, Part
from harness.model.steps import Program
from harness.progress import Step, stderr_progress
from harness.report.output import write_atomically
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED

__all__ = ["BudgetType", "explore_command"]

_TIME = re.compile(r"([0-9]{1,9})(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_MAX_DIGITS = 9
_DEFAULT_BUDGET = "300"


class BudgetType(click.ParamType[Budget]):
    """A number of programs, or a time with its unit."""

    name = "TIME|N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Budget:
        """Return the budget; fails for a text that is neither, and for nothing at all."""
        if isinstance(value, Budget):
            return value
        text = str(value)
        if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS and int(text):
            return Budget(programs=int(text))
        found = _TIME.fullmatch(text)
        if found is None or not int(found[1]):
            self.fail(
                f"{text[:40]!r} is neither a number of programs nor a time: use 300, 90s or 10min"
            )
        return Budget(seconds=int(found[1]) * _SECONDS[found[2]])


@dataclass
class _WatchedExplorer(Explorer):
    """Calls ``on_run`` after each run of a program, also while a finding is shrunk."""

    on_run: Callable[[], None] = field(default=lambda: None, kw_only=True)

    def run(self, program: Program) -> Trial:
        trial = super().run(program)
        self.on_run()
        return trial


@click.command("explore")
@options.settings(one_cell=True, tsms="mainline")
@click.option(
    "--budget",
    type=BudgetType(),
    default=_DEFAULT_BUDGET,
    show_default=True,
    help="Programs to run in each part, or the time for each part (90s, 10min, 2h).",
)
@click.option(
    "--part",
    "parts",
    type=click.Choice(PARTS),
    multiple=True,
    default=PARTS,
    show_default=True,
    help="What to look at: behaviour (M1), what is kept (M2), progress (M3). Repeatable.",
)
@click.option(
    "--findings",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="Stop a part after this many findings.",
)
@click.option(
    "--coverage",
    "coverage_file",
    type=options.OUTPUT_FILE,
    help="Write every transition to FILE: reached, or not reached and why.",
)
@options.setting("artifacts")
def explore_command(
    settings: Settings,
    budget: Budget,
    parts: tuple[Part, ...],
    findings: int,
    coverage_file: Path | None,
) -> int:
    """Compare an implementation with the model of the interface.

    Sequences of operations, provider behaviour and faults run in pristine guests: first every
    transition of the model, then random ones. A disagreement is shrunk, repeated ten times, shown
    as the shortest sequence, and recorded for `tsm-harness replay`. The exit status is 0 when
    nothing disagrees, 1 when something does, and 125 when the implementation cannot be run.
    """
    _check_directory(settings.artifacts)
    limit = Budget(budget.programs, budget.seconds, findings)
    with Session(settings, stderr_progress()) as session:
        explorer = _WatchedExplorer(session, settings.kernels[0], settings.tsms[0], settings.seed)
        version = explorer.detect()
        explored, stopped = _explore_parts(explorer, parts, limit)
    found = [finding for result in explored.values() for finding in result.findings]
    coverage = Coverage.of(explored.values(), version, limit, stopped=stopped is not None)
    console = Console(highlight=False)
    for part, result in explored.items():
        print_part(console, part, result)
    print_coverage(console, coverage)
    print_findings(console, found, version, settings, session)
    if coverage_file is not None:
        text = "".join(f"{line}\n" for line in coverage.lines())
        write_atomically(coverage_file, text.encode())
    print_result(console, found, sum(result.programs for result in explored.values()))
    if isinstance(stopped, KeyboardInterrupt):
        print_note("interrupted; this is what was found until then")
        return EXIT_NO_VERDICT
    if stopped is not None:
        raise stopped
    return EXIT_UNEXPECTED if found else EXIT_AS_EXPECTED


def _explore_parts(
    explorer: _WatchedExplorer, parts: Sequence[Part], limit: Budget
) -> tuple[dict[Part, Exploration], KeyboardInterrupt | TsmHarnessError | None]:
    """Explore each part; returns what was found, and what stopped the search."""
    explored: dict[Part, Exploration] = {}
    try:
        for part in dict.fromkeys(parts):
            explored[part] = Exploration()
            _explore(explorer, part, limit, explored[part])
    except (KeyboardInterrupt, TsmHarnessError) as error:
        return explored, error
    return explored, None


def _explore(explorer: _WatchedExplorer, part: Part, limit: Budget, into: Exploration) -> None:
    text = f"exploring {part}"
    before = explorer.trials

    def describe(step: Step) -> None:
        runs, findings = explorer.trials - before, len(into.findings)
        step.describe(f"{text}: {_counted(runs, 'run')}, {_counted(findings, 'finding')}")

    with explorer.session.progress.step(text, total=limit.programs) as step:
        explorer.on_run = lambda: describe(step)
        explore(explorer, part, limit, on_program=lambda _: step.advance(1), into=into)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


def _check_directory(path: Path) -> None:
    """Refuse a directory in which nothing can be recorded, before any work."""
    existing = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise UsageError(
            f"cannot write into {path}: {existing} is not a writable directory",
            hint="name another directory with --artifacts",
        )
