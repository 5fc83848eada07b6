# SPDX-License-Identifier: MIT
"""``bisect`` and ``series``: verdicts on the commits of a repository."""

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
from harness.report.text import print_text
from harness.revisions.bisect import Bisection
from harness.revisions.bisect import bisect as bisect_repository
from harness.revisions.series import series_verdicts
from harness.revisions.verdicts import CommitVerdict, commit_verdict, runs_needed
from harness.revisions.worktree import require_worktree_part
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED

__all__ = ["bisect", "series"]

_PATH = click.Path(path_type=Path)
_REPOSITORY = click.option(
    "--repository",
    type=_PATH,
    default=Path(),
    help="Directory of the git repository; the current one by default.",
)
_FIXUP = click.option(
    "--fixup",
    type=_PATH,
    help="Patch to apply to each commit while it is tested, and to revert afterwards.",
)


@click.command()
@click.argument("claims", nargs=-1, required=True, metavar="CLAIM...")
@options.settings(one_cell=True, decides=True, check=False, tsms="mainline")
@click.option("--good", help="Run the whole bisection, starting from this good commit.")
@click.option("--bad", default="HEAD", show_default=True, help="With --good: a bad commit.")
@click.option(
    "--rate",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of the runs in which the defect shows; sets --times as --confidence needs it.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.99,
    show_default=True,
    help="With --rate: probability that a bad commit is noticed.",
)
@_FIXUP
@_REPOSITORY
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
    """Find the commit that broke CLAIM. Without --good, test the commit that is checked out.

    Without --good, the command is for `git bisect run tsm-harness bisect CLAIM --kernel tree:.`:
    the exit status is 0 for good, 1 for bad, and 125 without a verdict, whatever crashes. With
    --good, it bisects in a temporary working tree; paths like tree:. or dir:drivers/virt/coco are
    relative to that tree.
    """
    if good is None:
        options.refuse("bad", "--good is not given", "add --good COMMIT")
    if rate is None:
        options.refuse("confidence", "--rate is not given", "add --rate")
    else:
        options.refuse("times", "--rate sets it")
    times = runs_needed(rate, confidence) if rate is not None else settings.times
    select_claims(settings.claims)
    require_worktree_part("bisect", settings, temporary=good is not None)
    chosen = replace(settings, times=times)
    patch = fixup.absolute() if fixup else None
    console = Console(highlight=False)

    def decide(tree: Path) -> CommitVerdict:
        return commit_verdict(tree, chosen, workers=workers, fixup=patch)

    if good is None:
        verdict = decide(repository)
        print_text(console, _explain(verdict, rate, confidence))
        return verdict.exit_status
    with tempfile.TemporaryDirectory() as scratch:
        result = bisect_repository(
            repository, good, bad, Path(scratch), decide, _verdict_printer(console)
        )
    return _print_bisection(result, console)


@click.command()
@click.argument("series", type=click.Path(path_type=Path, exists=True))
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.settings(one_cell=True, decides=True, check=False, tsms="mainline")
@click.option("--base", default="HEAD", show_default=True, help="Commit to apply the series to.")
@_FIXUP
@_REPOSITORY
@options.workers
def series(
    settings: Settings,
    series: Path,
    base: str,
    fixup: Path | None,
    repository: Path,
    workers: int,
) -> int:
    """Show which patch of SERIES makes or breaks which claim.

    SERIES is an mbox or a directory of *.patch files. It is applied in a temporary working tree;
    paths like tree:. or dir:drivers/virt/coco are relative to that tree. The exit status is 1
    when the series breaks a claim: the claim FAILs after the series and not before it.
    """
    select_claims(settings.claims)
    require_worktree_part("series", settings, temporary=True)
    patch = fixup.absolute() if fixup else None
    console = Console(highlight=False)

    def decide(tree: Path) -> CommitVerdict:
        return commit_verdict(tree, settings, workers=workers, fixup=patch)

    with tempfile.TemporaryDirectory() as scratch:
        rows = series_verdicts(
            repository, base, series, Path(scratch), decide, _verdict_printer(console)
        )
    console.print(_table(rows))
    return _status_of_series(rows)


def _explain(verdict: CommitVerdict, rate: float | None, confidence: float) -> str:
    text = str(verdict)
    if verdict.exit_status == EXIT_AS_EXPECTED:
        text += f", {verdict.runs} {'run' if verdict.runs == 1 else 'runs'} passed"
        if rate is not None:
            text += (
                f"; a defect that shows in {rate:.0%} of the runs goes unnoticed with a "
                f"probability of {1 - confidence:.1%}"
            )
    return text + _cached(verdict)


def _cached(verdict: CommitVerdict) -> str:
    return " (cached)" if verdict.cached else ""


def _verdict_printer(console: Console) -> Callable[[str, CommitVerdict], None]:
    def show(subject: str, verdict: CommitVerdict) -> None:
        print_text(console, f"{subject}: {verdict}{_cached(verdict)}")

    return show


def _print_bisection(result: Bisection, console: Console) -> int:
    count = f"{len(result.tested)} tested"
    if result.first_bad:
        print_text(console, f"{result.first_bad} is the first bad commit ({count})")
        return EXIT_AS_EXPECTED
    print_text(console, f"the first bad commit is one of these without a verdict ({count}):")
    for suspect in result.suspects:
        print_text(console, f"  {suspect}")
    return EXIT_NO_VERDICT


def _table(rows: list[tuple[str, CommitVerdict]]) -> Table:
    """Patches down, claims across; ``<`` marks a change against the patch before."""
    claims = list(dict.fromkeys(claim for _, verdict in rows for claim in verdict.claims if claim))
    table = Table(box=box.ASCII2)
    table.add_column("patch", overflow="fold")
    for claim in claims:
        table.add_column(claim, no_wrap=True)
    before: dict[str, str] = {}
    for subject, verdict in rows:
        after = {claim: verdict.claims.get(claim, "-") for claim in claims}
        cells = [f"{s} {'<' if before.get(c, s) != s else ''}".strip() for c, s in after.items()]
        table.add_row(Text(printable(subject)), *cells)
        before = after
    return table


def _status_of_series(rows: list[tuple[str, CommitVerdict]]) -> int:
    if len(rows) < 2:
        raise UsageError("the series has no commit", hint="give an mbox or a directory of patches")
    first, last = rows[0][1], rows[-1][1]
    if any(last.claims.get(c) == "FAIL" != first.claims.get(c) for c in last.claims):
        return EXIT_UNEXPECTED
    return EXIT_NO_VERDICT if "ERROR" in last.claims.values() else EXIT_AS_EXPECTED
