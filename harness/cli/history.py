# SPDX-License-Identifier: MIT
"""``history``: when a claim's verdict changed, and where."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from harness.claims.catalogue import select_claims
from harness.cli import options
from harness.errors import UsageError
from harness.history.changes import Era, eras
from harness.history.database import history_file, read_history
from harness.oracle.printable import printable
from harness.verdict import Status

__all__ = ["history"]


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@click.option("--changes", is_flag=True, help="Only where a verdict changed.")
@options.history
def history(claims: tuple[str, ...], changes: bool, history: Path | None) -> int:
    """Show what past runs found of each CLAIM: since when, how often, how fast.

    A line is runs in a row that agreed; where there are several for one place, the verdict changed.
    """
    wanted = [claim.id for claim in select_claims(claims)] if claims else []
    file = history_file(history)
    found = eras(read_history(file, wanted))
    if not found:
        raise UsageError(f"{file} knows nothing of it", hint="`tsm-harness run` fills it")
    console = Console(highlight=False, soft_wrap=True)
    for (claim, scenario, line, core, provider), members in found.items():
        undecided = members[-1].first.status is Status.SKIP
        if len(members) > 1 or not (changes or undecided):
            console.print(Text(printable(f"{claim} {scenario} on {core}, {provider}, {line}")))
            for era in members:
                console.print(Text(printable(f"  {_words(era)}")))
    return 0


def _words(era: Era) -> str:
    same, told = era.rate
    first, number = era.first, len(era.entries)
    runs = "1 run" if number == 1 else f"{number} runs"
    since = f"{first.time.astimezone():%Y-%m-%d %H:%M} ({first.kernel})"
    return (
        f"{first.status.value} {same}/{told} in {runs} since {since}, median {era.median_s:.3f} s"
    )
