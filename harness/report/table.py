# SPDX-License-Identifier: MIT
"""The run report for a terminal: a table of verdicts, then the results that need an explanation.

The tables have a row per claim and a column per implementation. They are plain ASCII, fit into 80
columns and need no colour. A guest's text is shown without control characters and markup.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.oracle.printable import printable
from harness.report.compare import compare
from harness.report.compare_text import comparison_lines
from harness.report.text import print_text
from harness.verdict import (
    EXIT_AS_EXPECTED,
    CellResult,
    RunResult,
    Status,
    exit_status,
    most_important,
    share,
    summary,
)

__all__ = ["print_report"]

_MAX_DETAIL = 4000
_MAX_EXPECTED_FAILS = 3  # with more of them, the table is the overview and details would bury it
_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "yellow",
    Status.ERROR: "magenta",
    Status.MISS: "magenta",
    Status.SKIP: "dim",
}
_UNEXPECTED_STYLE = "bold red"


def print_report(run: RunResult, console: Console) -> None:
    """Print what changed, the tables, each result that is not as expected, and the summary.

    Expected FAILs are explained, too, when there are only a few. ``!`` marks an unexpected
    verdict. ``2/5`` after a verdict: 2 of the 5 results of this claim and implementation have it.
    """
    for pair in run.pairs:
        for line in comparison_lines(compare(run.results, pair)):
            print_text(console, line)
        console.print()
    for kernel, provider in sorted({(r.cell.kernel, r.cell.provider) for r in run.results}):
        members = [r for r in run.results if (r.cell.kernel, r.cell.provider) == (kernel, provider)]
        console.print(Text(printable(f"{kernel}, {provider}"), style="bold"))
        console.print(_table(members))
    if run.undecided:
        reasons = "; ".join(f"{claim} ({reason})" for claim, reason in run.undecided.items())
        print_text(console, f"claims without a scenario: {reasons}")
    for note in run.notes:
        print_text(console, note)
    for result, repeats in _grouped(run.results):
        _print_details(result, repeats, console)
    console.print(_summary(run.results), soft_wrap=True)


def _table(results: Sequence[CellResult]) -> Table:
    table = Table(box=box.ASCII2)
    tsms = list(dict.fromkeys(result.cell.tsm for result in results))
    table.add_column("claim", no_wrap=True)
    for tsm in tsms:
        table.add_column(Text(printable(tsm)), overflow="fold")
    for claim in dict.fromkeys(result.cell.claim for result in results):
        row = [[r for r in results if (r.cell.claim, r.cell.tsm) == (claim, t)] for t in tsms]
        table.add_row(Text(printable(claim)), *(_cell_text(members) for members in row))
    return table


def _cell_text(results: Sequence[CellResult]) -> Text:
    if not results:
        return Text("-", style="dim")
    main = most_important(results)
    mark = " !" if main.unexpected else ""
    counted = share(results, main.status)
    text = f"{main.status.value}{mark}" + (f" {counted}" if counted else "")
    return Text(text, style=_style(main))


def _style(result: CellResult) -> str:
    return _UNEXPECTED_STYLE if result.unexpected else _STYLES[result.status]


def _grouped(results: Sequence[CellResult]) -> list[tuple[CellResult, int]]:
    """Return the results to explain, each with the number of its repeats.

    These are the results that are not as expected, and expected FAILs when there are few. ERRORs
    and MISSes for the same reason are one entry. Each unexpected verdict has its own.
    """
    groups: dict[object, list[CellResult]] = {}
    known = [r for r in results if r.status is Status.FAIL and not r.unexpected]
    explained = known if len(known) <= _MAX_EXPECTED_FAILS else []
    for result in results:
        if not result.as_expected or result in explained:
            cell = result.cell if result.decided else None
            groups.setdefault((result.status, result.detail, cell), []).append(result)
    return [(members[0], len(members) - 1) for members in groups.values()]


def _print_details(result: CellResult, repeats: int, console: Console) -> None:
    cell = result.cell
    title = (
        f"{result.status.value} {cell.claim} {cell.scenario} "
        f"[{cell.kernel}, {cell.tsm}, {cell.provider}, seed {cell.seed}]"
    )
    console.print()
    print_text(console, title, style=_style(result))
    notes = []
    if result.unexpected:
        notes.append(f"expected {result.expected.value}, got {result.status.value}")
    elif result.status is Status.FAIL:
        notes.append("as expected: this implementation is known to break the claim")
    if result.infrastructure_retries:
        notes.append(f"retried {result.infrastructure_retries} times after a harness error")
    lines = [*notes, *printable(result.detail, _MAX_DETAIL).splitlines()]
    if result.timeline:
        lines += ["timeline:", *(f"  {line}" for line in result.timeline)]
    for line in lines:
        print_text(console, f"  {line}")
    if result.rerun:
        print_text(console, f"  rerun: {result.rerun}", copyable=True)
    if result.artifacts:
        print_text(console, f"  recorded: {result.artifacts}", copyable=True)
    if repeats:
        print_text(console, f"  and {repeats} more {result.status.value} for the same reason")


def _summary(results: Sequence[CellResult]) -> Text:
    counts = ", ".join(f"{n} {status}" for status, n in summary(results).items() if n)
    unexpected = sum(result.unexpected for result in results)
    cells = "1 cell" if len(results) == 1 else f"{len(results)} cells"
    text = f"\n{cells}: {counts or 'nothing ran'}"
    if unexpected:
        text += f"; {unexpected} not as expected (!)"
    elif exit_status(results) == EXIT_AS_EXPECTED:
        text += "; all as expected"
    return Text(text, style="bold")
