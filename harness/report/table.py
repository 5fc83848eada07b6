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
from harness.report.details import STYLES, UNEXPECTED_STYLE, print_details, skip_lines
from harness.report.legend import legend
from harness.report.text import print_text
from harness.verdict import (
    EXIT_AS_EXPECTED,
    CellResult,
    RunResult,
    exit_status,
    most_important,
    share,
    summary,
)

__all__ = ["print_report"]


def print_report(run: RunResult, console: Console, *, verbose: bool = False) -> None:
    """Print what changed, the tables with a legend, what needs an explanation, and the summary.

    Expected FAILs are explained, too, when there are only a few. ``!`` marks an unexpected
    verdict. ``2/5`` after a verdict: 2 of the 5 results of this claim and implementation have it.
    ``verbose`` explains every FAIL with all of its lines, and names the claims without a scenario.
    """
    for pair in run.pairs:
        for line in comparison_lines(compare(run.results, pair)):
            print_text(console, line)
        console.print()
    cells: list[str] = []
    for kernel, provider in sorted({(r.cell.kernel, r.cell.provider) for r in run.results}):
        members = [r for r in run.results if (r.cell.kernel, r.cell.provider) == (kernel, provider)]
        console.print(Text(printable(f"{kernel}, {provider}"), style="bold"))
        console.print(_table(members, cells))
    for line in legend(cells):
        print_text(console, line, style="dim")
    if run.undecided and verbose:
        reasons = "; ".join(f"{claim} ({reason})" for claim, reason in run.undecided.items())
        print_text(console, f"claims without a scenario: {reasons}")
    for note in run.notes:
        print_text(console, note)
    print_details(run, console, verbose=verbose)
    skipped = skip_lines(run.results)
    for line in ["", *skipped] if skipped else []:
        print_text(console, line)
    console.print(_summary(run.results), soft_wrap=True)


def _table(results: Sequence[CellResult], cells: list[str]) -> Table:
    """Return the table of one kernel and provider; add the texts of its cells to ``cells``."""
    table = Table(box=box.ASCII2)
    tsms = list(dict.fromkeys(result.cell.tsm for result in results))
    table.add_column("claim", no_wrap=True)
    for tsm in tsms:
        table.add_column(Text(printable(tsm)), overflow="fold")
    for claim in dict.fromkeys(result.cell.claim for result in results):
        row = [[r for r in results if (r.cell.claim, r.cell.tsm) == (claim, t)] for t in tsms]
        texts = [_cell_text(members) for members in row]
        cells += [text.plain for text in texts]
        table.add_row(Text(printable(claim)), *texts)
    return table


def _cell_text(results: Sequence[CellResult]) -> Text:
    if not results:
        return Text("-", style="dim")
    main = most_important(results)
    mark = " !" if main.unexpected else ""
    counted = share(results, main.status)
    text = f"{main.status.value}{mark}" + (f" {counted}" if counted else "")
    return Text(text, style=UNEXPECTED_STYLE if main.unexpected else STYLES[main.status])


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
