# SPDX-License-Identifier: MIT
"""``history``: shows when a claim's verdict changed, and on which kernel."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from harness.claims.catalogue import select_claims
from harness.cli import options
from harness.errors import UsageError
from harness.history.changes import Period, periods
from harness.history.database import history_file, read_history
from harness.report.text import print_text
from harness.verdict import Status

__all__ = ["history"]


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@click.option("--changes", is_flag=True, help="Show only where a verdict changed.")
@options.history
def history(claims: tuple[str, ...], changes: bool, history: Path | None) -> int:
    """Show the verdicts of past runs on each CLAIM.

    A line stands for consecutive runs with the same verdict: how many, since when, and how long
    they took. Several lines below one heading mean that the verdict changed.
    """
    selected = [claim.id for claim in select_claims(claims)] if claims else []
    file = history_file(history)
    found = periods(read_history(file, selected))
    if not found:
        raise UsageError(
            f"the history {file} has no entry" + (f" for {', '.join(selected)}" if claims else ""),
            hint="`tsm-harness run` adds entries; --history names another file",
        )
    console = Console(highlight=False)
    for place, members in found.items():
        skipped = members[-1].first.status is Status.SKIP
        if len(members) > 1 or not (changes or skipped):
            print_text(
                console,
                f"{place.claim} {place.scenario} on {place.tsm}, {place.provider}, "
                f"{place.kernel_line}",
            )
            for period in members:
                print_text(console, f"  {_describe(period)}")
    return 0


def _describe(period: Period) -> str:
    same, decided = period.rate
    first, number = period.first, len(period.entries)
    runs = "1 run" if number == 1 else f"{number} runs"
    since = f"{first.time.astimezone():%Y-%m-%d %H:%M} ({first.kernel})"
    return (
        f"{first.status.value} {same}/{decided} in {runs} since {since}, "
        f"median {period.median_s:.3f} s"
    )
