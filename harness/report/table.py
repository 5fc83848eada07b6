# SPDX-License-Identifier: MIT
"""The verdict table for people: claims down, cores across, then what needs attention.

Plain ASCII besides the words of others; readable without colour and at 80 columns. Text that
comes from a guest is shown without control characters and without markup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.oracle.printable import printable
from harness.verdict import (
    EXIT_AS_EXPECTED,
    CellResult,
    Status,
    exit_status,
    most_important,
    share,
    summary,
)

__all__ = ["print_report"]

MAX_DETAIL = 4000

_STYLES = {
    Status.PASS: "green",
    Status.FAIL: "yellow",
    Status.ERROR: "magenta",
    Status.MISS: "magenta",
    Status.SKIP: "dim",
}
_UNEXPECTED_STYLE = "bold red"


def print_report(
    results: Sequence[CellResult],
    console: Console,
    undecided: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Print the tables, the details of every result that is not as expected, and the summary.

    ``undecided`` are claims that no scenario decides, and why; ``notes`` say what was done to what
    the user brought.

    A verdict marked ``!`` was not expected; ``2/5`` after it says how many of a claim's results
    in that place have it, when there are several.
    """
    groups = sorted({(r.cell.kernel, r.cell.provider) for r in results})
    for kernel, provider in groups:
        members = [r for r in results if (r.cell.kernel, r.cell.provider) == (kernel, provider)]
        console.print(Text(printable(f"{kernel}, {provider}"), style="bold"))
        console.print(_table(members))
    if undecided:
        reasons = "; ".join(f"{claim} ({why})" for claim, why in undecided.items())
        console.print(Text(f"decided by no scenario: {printable(reasons)}"))
    for note in notes:
        console.print(Text(printable(note)), soft_wrap=True)
    for result, alike in _with_those_alike(results):
        _print_details(result, alike, console)
    console.print(_summary(results), soft_wrap=True)


def _table(results: Sequence[CellResult]) -> Table:
    table = Table(box=box.ASCII2)
    cores = list(dict.fromkeys(result.cell.tsm for result in results))
    table.add_column("claim", no_wrap=True)
    for core in cores:
        table.add_column(Text(printable(core)), overflow="fold")
    for claim in dict.fromkeys(result.cell.claim for result in results):
        row = [[r for r in results if (r.cell.claim, r.cell.tsm) == (claim, c)] for c in cores]
        table.add_row(Text(printable(claim)), *(_cell_text(members) for members in row))
    return table


def _cell_text(results: Sequence[CellResult]) -> Text:
    if not results:
        return Text("-", style="dim")
    speaker = most_important(results)
    text = speaker.status.value
    if speaker.unexpected:
        text += " !"
    if counted := share(results, speaker.status):
        text += f" {counted}"
    return Text(text, style=_style(speaker))


def _style(result: CellResult) -> str:
    if result.unexpected:
        return _UNEXPECTED_STYLE
    return _STYLES[result.status]


def _with_those_alike(results: Sequence[CellResult]) -> list[tuple[CellResult, int]]:
    """The first unexpected result of each cause, and how many more have the same."""
    causes: dict[object, list[CellResult]] = {}
    for result in results:
        if not result.as_expected:
            # A verdict is shown for each cell; what kept a scenario from running, only once.
            own = result.cell if result.unexpected else None
            causes.setdefault((result.status, result.detail, own), []).append(result)
    return [(members[0], len(members) - 1) for members in causes.values()]


def _print_details(result: CellResult, alike: int, console: Console) -> None:
    cell = result.cell
    console.print()
    console.print(
        Text(
            printable(
                f"{result.status.value} {cell.claim} {cell.scenario} "
                f"[{cell.kernel}, {cell.tsm}, {cell.provider}, seed {cell.seed}]"
            ),
            style=_style(result),
        ),
        soft_wrap=True,
    )
    notes = []
    if result.unexpected:
        notes.append(f"expected {result.expected.value}, got {result.status.value}")
    if result.infrastructure_retries:
        notes.append(f"retried {result.infrastructure_retries} times after a harness error")
    _print_lines(console, [*notes, *printable(result.detail, MAX_DETAIL).splitlines()])
    if result.timeline:
        _print_lines(console, ["what led to it:", *(f"  {line}" for line in result.timeline)])
    if result.rerun:
        _print_lines(console, [f"rerun: {printable(result.rerun)}"])
    if result.artifacts:
        _print_lines(console, [f"recorded: {printable(str(result.artifacts))}"])
    if alike:
        _print_lines(console, [f"and {alike} more {result.status.value} for the same reason"])


def _print_lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        console.print(Text(f"  {line}"), soft_wrap=True)


def _summary(results: Sequence[CellResult]) -> Text:
    counts = ", ".join(f"{n} {status}" for status, n in summary(results).items() if n)
    unexpected = sum(result.unexpected for result in results)
    text = f"\n{len(results)} cells: {counts or 'nothing ran'}"
    if unexpected:
        text += f"; {unexpected} not as expected (!)"
    elif exit_status(results) == EXIT_AS_EXPECTED:
        text += "; all as expected"
    return Text(text, style="bold")
