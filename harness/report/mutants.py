# SPDX-License-Identifier: MIT
"""The proof of sight: each defect alone, and which claims notice it.

A scenario that stays silent about a defect of its own claim is *blind*; one that speaks up about
a defect which does not touch its claim *sees ghosts*. Either makes every other verdict doubtful.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.claims.model import InterfaceKind
from harness.claims.scope import interface_kind
from harness.implementations.spec import parse_implementation
from harness.verdict import CellResult, Status

__all__ = ["Flaw", "flaws", "print_mutants"]

_LETTERS = [*string.ascii_lowercase, *string.ascii_uppercase]
_SIGNS = {Status.FAIL: "F", Status.PASS: ".", Status.SKIP: "", Status.ERROR: "E", Status.MISS: "?"}


@dataclass(frozen=True)
class Flaw:
    """One cell that is not as it should be, and what that means."""

    result: CellResult
    kind: str


def flaws(results: Sequence[CellResult]) -> list[Flaw]:
    """Every cell whose verdict is not the expected one."""
    found = []
    for result in results:
        if result.as_expected and result.status is not Status.SKIP:
            continue
        if result.status is Status.SKIP and result.expected is Status.SKIP:
            continue
        kinds = {Status.PASS: "blind", Status.FAIL: "sees ghosts", Status.SKIP: "looks away"}
        found.append(Flaw(result, kinds.get(result.status, "undecided")))
    return found


def print_mutants(
    results: Sequence[CellResult], unseen: Mapping[str, str], console: Console
) -> None:
    """Print claims x cores, each core a letter; ``unseen`` is why a defect has no scenario.

    The cores of each interface have a table of their own.
    """
    interfaces: dict[InterfaceKind, list[str]] = {}
    for core in dict.fromkeys(result.cell.tsm for result in results):
        interfaces.setdefault(interface_kind(parse_implementation(core)), []).append(core)
    for cores in interfaces.values():
        _print_interface(results, cores, console)
        for letter, core in zip(_LETTERS, cores, strict=False):
            why = unseen.get(core.partition(":")[2], "")
            words = f"{letter}  {core}{f' (no scenario: {why})' if why else ''}"
            console.print(words, soft_wrap=True)
    for core in _overlooked(results):
        console.print(
            f"{core}: what is chosen here has no scenario about it; choose other claims, or "
            "another --provider",
            soft_wrap=True,
        )
    console.print("F the claim fails, . it passes; ! marks what is not as it should be")
    for flaw in flaws(results):
        cell = flaw.result.cell
        console.print(
            Text(f"{flaw.kind}: {cell.claim} {cell.scenario} on {cell.tsm}; {flaw.result.rerun}"),
            soft_wrap=True,
        )


def _print_interface(results: Sequence[CellResult], cores: Sequence[str], console: Console) -> None:
    # Without padding, so that as many cores as a interface has defects fit into 80 columns.
    table = Table("claim", *_LETTERS[: len(cores)], box=box.ASCII2, padding=0)
    for claim in dict.fromkeys(result.cell.claim for result in results):
        row = [
            _cell([r for r in results if (r.cell.claim, r.cell.tsm) == (claim, core)])
            for core in cores
        ]
        if any(cell.plain for cell in row):
            table.add_row(claim, *row)
    console.print(table)


def _overlooked(results: Sequence[CellResult]) -> list[str]:
    """Cores with a defect on which nothing is expected to be otherwise than without it."""
    expected: dict[str, dict[tuple[str, ...], Status]] = {}
    for result in results:
        cell = result.cell
        place = (cell.claim, cell.scenario, cell.kernel, cell.provider)
        expected.setdefault(cell.tsm, {})[place] = result.expected
    sound = {
        interface_kind(parse_implementation(core)): verdicts
        for core, verdicts in expected.items()
        if not parse_implementation(core).defects
    }
    return [
        core
        for core, verdicts in expected.items()
        if parse_implementation(core).defects
        and verdicts == sound.get(interface_kind(parse_implementation(core)))
    ]


def _cell(results: Sequence[CellResult]) -> Text:
    decided = [result for result in results if result.status is not Status.SKIP]
    if not decided:
        return Text("")
    worst = min(decided, key=lambda result: (result.as_expected, list(Status).index(result.status)))
    wrong = bool(flaws(decided))
    return Text(_SIGNS[worst.status] + "!" * wrong, style="bold red" if wrong else "")
