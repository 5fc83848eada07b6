# SPDX-License-Identifier: MIT
"""``explore``: compares an implementation with the model of the interface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli import options
from harness.explore.coverage import summary_lines
from harness.explore.explore import Budget, Exploration, Finding, explore
from harness.explore.explorer import Explorer
from harness.explore.record import write_finding
from harness.explore.show import rows, title
from harness.explore.systematic import PARTS, Part
from harness.model.interface import InterfaceVersion
from harness.oracle.printable import printable
from harness.progress import stderr_progress
from harness.report.text import print_text
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_UNEXPECTED

__all__ = ["explore_command"]

_TIME = re.compile(r"(\d+)(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
_DEFAULT_BUDGET = "300"


class _BudgetType(click.ParamType[Budget]):
    name = "TIME|N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Budget:
        if isinstance(value, Budget):
            return value
        text = str(value)
        if text.isdecimal() and int(text):
            return Budget(programs=int(text))
        found = _TIME.fullmatch(text)
        if found is None or not int(found[1]):
            self.fail(f"{text!r} is neither a number of programs nor a time: use 300, 90s or 10min")
        return Budget(seconds=int(found[1]) * _SECONDS[found[2]])


@dataclass
class _Explored:
    part: Part
    exploration: Exploration


@click.command("explore")
@options.settings(one_cell=True, tsms="mainline")
@click.option(
    "--budget",
    type=_BudgetType(),
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
@options.setting("artifacts")
def explore_command(
    settings: Settings, budget: Budget, parts: tuple[Part, ...], findings: int
) -> int:
    """Compare an implementation with the model of the interface.

    Sequences of operations, provider behaviour and faults run in pristine guests: first every
    transition of the model, then random ones. A disagreement is shrunk, repeated ten times and
    shown as the shortest sequence. The exit status is 0 when nothing disagrees, 1 when something
    does, and 125 when the implementation cannot be run.
    """
    console = Console(highlight=False)
    limit = Budget(budget.programs, budget.seconds, findings)
    kernel, tsm = settings.kernels[0], settings.tsms[0]
    with Session(settings, stderr_progress()) as session:
        explorer = Explorer(session, kernel, tsm, settings.seed)
        version = explorer.detect()
        explored = []
        for part in parts:
            with session.progress.step(f"exploring {part} of {tsm} on {kernel}"):
                explored.append(_Explored(part, explore(explorer, part, limit)))
    for each in explored:
        _print_part(console, each, version)
        for number, finding in enumerate(each.exploration.findings, 1):
            where = write_finding(settings.artifacts, finding, version, settings, number)
            _print_finding(console, finding, version, where)
    found = any(each.exploration.findings for each in explored)
    return EXIT_UNEXPECTED if found else EXIT_AS_EXPECTED


def _print_part(console: Console, explored: _Explored, version: InterfaceVersion) -> None:
    result = explored.exploration
    rate = result.programs / result.seconds if result.seconds else 0.0
    print_text(
        console,
        f"{explored.part}: {len(result.findings)} findings; {result.programs} programs, "
        f"{result.steps} operations, {len(result.visited)} transitions in {result.seconds:.1f} s "
        f"({rate:.1f} programs a second)",
    )
    if explored.part == "behaviour":
        for line in summary_lines(result.visited, version):
            print_text(console, f"  {line}")


def _print_finding(
    console: Console, finding: Finding, version: InterfaceVersion, where: Path | None
) -> None:
    print_text(console, f"\n{title(finding)}")
    table = Table(box=box.ASCII, show_lines=True)
    table.add_column("operation", overflow="fold")
    table.add_column("result", overflow="fold")
    for operation, result in rows(finding, version):
        table.add_row(Text(printable(operation)), Text(printable(result)))
    console.print(table)
    if where is not None:
        print_text(console, f"recorded: {where}")
