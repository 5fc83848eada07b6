# SPDX-License-Identifier: MIT
"""The mutation check as text: which claims notice which defect.

A mutant is an implementation with one known defect. The scenarios of a claim that the defect
breaks must FAIL on it (otherwise it is *missed*); all others must PASS (otherwise it is a *false
alarm*). Either casts doubt on every other verdict of that scenario.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.implementations.model import InterfaceKind
from harness.implementations.spec import parse_implementation
from harness.report.text import print_text
from harness.verdict import CellResult, Status, most_important

__all__ = ["print_mutants"]

_LETTERS = [*string.ascii_lowercase, *string.ascii_uppercase]
_CLAIM_COLUMNS = 8  # of a table: the claim, and the borders beside it
_SIGNS = {Status.FAIL: "F", Status.PASS: ".", Status.SKIP: "S", Status.ERROR: "E", Status.MISS: "?"}
_MISTAKES = {
    Status.PASS: "missed",
    Status.FAIL: "false alarm",
    Status.SKIP: "skipped",
    Status.ERROR: "undecided",
    Status.MISS: "undecided",
}


def print_mutants(
    results: Sequence[CellResult], undecided: Mapping[str, str], console: Console
) -> None:
    """Print a table for each interface, with a row per claim and a column per implementation.

    A letter stands for the implementation. ``undecided`` has the defects whose claim no scenario
    decides, each with the reason.
    """
    interfaces: dict[InterfaceKind, list[str]] = {}
    for tsm in dict.fromkeys(result.cell.tsm for result in results):
        interfaces.setdefault(parse_implementation(tsm).interface, []).append(tsm)
    columns = min(len(_LETTERS), max(1, (console.width - _CLAIM_COLUMNS) // 2))
    for tsms in interfaces.values():
        for start in range(0, len(tsms), columns):
            part = tsms[start : start + columns]
            console.print(_table(results, part))
            for letter, tsm in zip(_LETTERS, part, strict=False):
                reason = undecided.get(tsm.partition(":")[2], "")
                note = f" (no scenario: {reason})" if reason else ""
                print_text(console, f"{letter}  {tsm}{note}")
    if ineffective := _without_effect(results):
        print_text(
            console,
            f"no selected scenario detects {', '.join(ineffective)}; select other claims, or "
            "another --provider",
        )
    print_text(console, "F: the claim fails; .: it passes; !: not as expected, see below")
    for result in results:
        if not result.as_expected:
            cell = result.cell
            mistake = _MISTAKES[result.status]
            line = f"{mistake}: {cell.claim} {cell.scenario} on {cell.tsm}; {result.rerun}"
            print_text(console, line, copyable=True)


def _table(results: Sequence[CellResult], tsms: Sequence[str]) -> Table:
    # No padding, so that all mutants of an interface fit into 80 columns.
    table = Table(box=box.ASCII2, padding=0)
    for head in ("claim", *_LETTERS[: len(tsms)]):
        table.add_column(head, overflow="fold")
    for claim in dict.fromkeys(result.cell.claim for result in results):
        row = [
            _cell([r for r in results if (r.cell.claim, r.cell.tsm) == (claim, tsm)])
            for tsm in tsms
        ]
        if any(cell.plain for cell in row):
            table.add_row(claim, *row)
    return table


def _cell(results: Sequence[CellResult]) -> Text:
    shown = [r for r in results if not (r.as_expected and r.status is Status.SKIP)]
    if not shown:
        return Text("")
    result = most_important(shown)
    mark = "" if result.as_expected else "!"
    return Text(_SIGNS[result.status] + mark, style="bold red" if mark else "")


def _without_effect(results: Sequence[CellResult]) -> list[str]:
    """Return the mutants whose expected verdicts are all those of the fixed implementation."""
    expected: dict[str, dict[tuple[str, ...], Status]] = {}
    for result in results:
        cell = result.cell
        place = (cell.claim, cell.scenario, cell.kernel, cell.provider)
        expected.setdefault(cell.tsm, {})[place] = result.expected
    fixed = {
        parse_implementation(tsm).interface: statuses
        for tsm, statuses in expected.items()
        if not parse_implementation(tsm).defects
    }
    return [
        tsm
        for tsm, statuses in expected.items()
        if parse_implementation(tsm).defects
        and statuses == fixed.get(parse_implementation(tsm).interface)
    ]
