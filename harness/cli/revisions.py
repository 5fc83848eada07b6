# SPDX-License-Identifier: MIT
"""``bisect``, for one commit or a whole search, and ``series``."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.claims.catalogue import select_claims
from harness.cli import options
from harness.errors import UsageError
from harness.oracle.printable import printable
from harness.revisions.bisect import Found
from harness.revisions.bisect import bisect as search
from harness.revisions.series import judge_series
from harness.revisions.verdicts import Judgement, judge, runs_needed
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED

__all__ = ["bisect", "series"]

_PATH = click.Path(path_type=Path)
_HERE = click.option(
    "--repository",
    type=_PATH,
    default=Path(),
    help="The repository; the current directory by default.",
)
_FIXUP = click.option(
    "--fixup", type=_PATH, help="A patch applied to each commit for its judgement, and reverted."
)
_RATE = click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="How often a defect shows, when it is there: enough runs are made to miss it rarely.",
)
_CONFIDENCE = click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.99,
    show_default=True,
    help="How sure a verdict of good is to be, with --rate.",
)


@click.command()
@click.argument("claims", nargs=-1, required=True, metavar="CLAIM...")
@options.settings(one_cell=True, decides=True, check=False, tsms="mainline")
@click.option("--good", help="A commit that does not have the defect: search from here.")
@click.option("--bad", default="HEAD", show_default=True, help="... up to here.")
@_RATE
@_CONFIDENCE
@_FIXUP
@_HERE
@options.workers
def bisect(
    settings: Settings,
    good: str | None,
    bad: str,
    rate: float | None,
    confidence: float,
    fixup: Path | None,
    repository: Path,
    workers: int,
) -> int:
    """Find the commit that broke CLAIM; without --good, judge what is checked out.

    Without --good it is made for `git bisect run tsm-harness bisect CLAIM --kernel tree:.`: the
    exit status is 0 for good, 1 for bad, 125 when nothing can be said, whatever dies. With --good
    it searches by itself, in a working tree of its own; paths like tree:. or dir:drivers/virt/coco
    are of that tree.
    """
    times = runs_needed(rate, confidence) if rate is not None else settings.times
    select_claims(settings.claims)
    asked = replace(settings, times=times)
    patch = fixup.absolute() if fixup else None
    console = Console(highlight=False, soft_wrap=True)

    def one(tree: Path) -> Judgement:
        return judge(tree, asked, workers=workers, fixup=patch)

    if good is None:
        judgement = one(repository)
        console.print(printable(_sentence(judgement, rate, confidence)), markup=False)
        return judgement.status
    with tempfile.TemporaryDirectory() as where:
        found = search(repository, good, bad, Path(where), one, _teller(console))
    return _say_found(found, console)


@click.command()
@click.argument("series", type=click.Path(path_type=Path, exists=True))
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.settings(one_cell=True, decides=True, check=False, tsms="mainline")
@click.option("--base", default="HEAD", show_default=True, help="The commit it is applied to.")
@_FIXUP
@_HERE
@options.workers
def series(
    settings: Settings,
    series: Path,
    base: str,
    fixup: Path | None,
    repository: Path,
    workers: int,
) -> int:
    """Judge a SERIES of patches one by one: which of them makes or breaks which claim.

    SERIES is an mbox or a directory of *.patch. It is applied in a working tree of its own; paths
    like tree:. or dir:drivers/virt/coco are of that tree. The exit status is 1 when a claim that
    held before the series does not hold after it.
    """
    select_claims(settings.claims)
    patch = fixup.absolute() if fixup else None
    console = Console(highlight=False)

    def one(tree: Path) -> Judgement:
        return judge(tree, settings, workers=workers, fixup=patch)

    with tempfile.TemporaryDirectory() as where:
        rows = judge_series(repository, base, series, Path(where), one, _teller(console))
    console.print(_table(rows))
    return _change(rows)


def _sentence(judgement: Judgement, rate: float | None, confidence: float) -> str:
    words = str(judgement)
    if judgement.status == EXIT_AS_EXPECTED:
        words += f", {judgement.runs} runs passed"
        if rate is not None:
            words += (
                f": what shows in {rate:.0%} of the runs would have stayed unseen in "
                f"{1 - confidence:.1%} of such judgements"
            )
    return words + (" (judged before)" if judgement.remembered else "")


def _teller(console: Console) -> Callable[[str, Judgement], None]:
    """What prints each judgement as it is made."""

    def told(title: str, judgement: Judgement) -> None:
        again = " (judged before)" if judgement.remembered else ""
        console.print(printable(f"{title}: {judgement}{again}"), markup=False, soft_wrap=True)

    return told


def _say_found(found: Found, console: Console) -> int:
    judged = len(found.steps)
    if found.first_bad:
        console.print(f"{found.first_bad} is the first bad commit ({judged} judged)")
        return EXIT_AS_EXPECTED
    console.print(f"it is one of these, which could not be judged ({judged} judged):")
    for suspect in found.suspects:
        console.print(f"  {suspect}")
    return EXIT_NO_VERDICT


def _table(rows: list[tuple[str, Judgement]]) -> Table:
    """Patches down, claims across; a change against the patch before is marked."""
    claims = list(dict.fromkeys(claim for _, one in rows for claim in one.claims if claim))
    table = Table(box=box.ASCII2)
    table.add_column("patch", overflow="fold")
    for claim in claims:
        table.add_column(claim, no_wrap=True)
    before: dict[str, str] = {}
    for title, judgement in rows:
        now = {claim: judgement.claims.get(claim, "-") for claim in claims}
        marks = [f"{s} {'<' if before.get(c, s) != s else ''}".strip() for c, s in now.items()]
        table.add_row(Text(printable(title)), *marks)
        before = now
    return table


def _change(rows: list[tuple[str, Judgement]]) -> int:
    if len(rows) < 2:
        raise UsageError("the series has no commit")
    first, last = rows[0][1], rows[-1][1]
    if any(last.claims.get(c) == "FAIL" != first.claims.get(c) for c in last.claims):
        return EXIT_UNEXPECTED
    return EXIT_NO_VERDICT if "ERROR" in last.claims.values() else EXIT_AS_EXPECTED
