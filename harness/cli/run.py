# SPDX-License-Identifier: MIT
"""``run``, the main job, and ``reproduce``, one claim many times."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from harness.claims.catalogue import catalogue, undecided_claims
from harness.cli import options
from harness.cli.decide import Where, decide, decide_jobs, exit_status_of
from harness.cli.reports import ReportFiles, report_files
from harness.errors import HostError, UsageError
from harness.history.database import history_file, record_run
from harness.matrix.file import read_matrix
from harness.matrix.jobs import jobs_of
from harness.oracle.printable import printable
from harness.report.table import print_report
from harness.settings import Settings
from harness.verdict import CellResult, ClaimSummary, RunResult, Status, headline

__all__ = ["reproduce", "run"]

_IN_A_MATRIX = ("claims", "kernels", "tsms", "providers", "seed")


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.settings(decides=True)
@click.option("--matrix", type=options.INPUT_FILE, help="Decide the jobs of a matrix file.")
@report_files
@options.workers
@click.option("--cluster", metavar="ADDRESS", help="A Dask cluster; `local` for one made here.")
@click.option("--resume", is_flag=True, help="With --cluster: leave out jobs done before.")
@options.history
def run(
    settings: Settings,
    matrix: Path | None,
    reports: ReportFiles,
    workers: int,
    cluster: str | None,
    resume: bool,
    history: Path | None,
) -> int:
    """Decide claims on kernels and implementations.

    Without arguments: every claim on debian:6.12 with class-posted, class-fixed and mainline.
    """
    if resume and cluster is None:
        raise UsageError("--resume needs --cluster", hint="add --cluster local")
    where = Where(workers, cluster, resume)
    outcome = _matrix(settings, matrix, where) if matrix else decide(settings, where)
    outcome = _described(outcome, everything=not settings.claims and matrix is None)
    print_report(outcome, Console())
    reports.write(outcome)
    _remember(history, outcome, settings)
    return exit_status_of(outcome)


def _described(run: RunResult, *, everything: bool) -> RunResult:
    """Add what the run report says of claims; of undecided ones if ``everything`` was run."""
    undecided = undecided_claims() if everything else {}
    known = catalogue().claims
    shown = {result.cell.claim for result in run.results} | set(undecided)
    described = {
        ident: ClaimSummary(claim.demand, claim.raised_by, claim.link)
        for ident, claim in known.items()
        if ident in shown
    }
    return replace(run, claims=described, undecided=undecided)


def _matrix(settings: Settings, file: Path, where: Where) -> RunResult:
    context = click.get_current_context()
    given = click.core.ParameterSource.COMMANDLINE
    if both := [name for name in _IN_A_MATRIX if context.get_parameter_source(name) is given]:
        raise UsageError(f"the matrix file says which {both[0]} there are", hint="say it there")
    return decide_jobs(jobs_of(read_matrix(file), settings), settings, where)


def _remember(history: Path | None, outcome: RunResult, settings: Settings) -> None:
    """A history that cannot be written costs no verdict."""
    try:
        fresh = [result for result in outcome.results if result.cell not in outcome.recalled]
        record_run(history_file(history), fresh, settings.command())
    except HostError as error:
        print(f"tsm-harness: {printable(str(error))} ({error.hint})", file=sys.stderr)


@click.command()
@click.argument("claim")
@options.settings(one_cell=True, decides=True, tsms="class-posted", times=20)
@options.workers
@options.history
def reproduce(settings: Settings, claim: str, workers: int, history: Path | None) -> int:
    """Run one claim many times, each in a fresh clone; print hits, rate and time.

    The seed moves by one each time.
    """
    settings = replace(settings, claims=(claim,)).check()
    outcome = decide(settings, Where(workers))
    console = Console(highlight=False, soft_wrap=True)
    for line in _rates(outcome.results):
        console.print(printable(line), markup=False)
    _remember(history, outcome, settings)
    return exit_status_of(outcome)


def _rates(results: Sequence[CellResult]) -> list[str]:
    lines = []
    for scenario in sorted({result.cell.scenario for result in results}):
        mine = [result for result in results if result.cell.scenario == scenario]
        counts = Counter(result.status for result in mine)
        hits, decided = counts[Status.FAIL], counts[Status.FAIL] + counts[Status.PASS]
        rate = f"{hits / decided:.1%}" if decided else "no verdict"
        seconds = [result.duration_s for result in mine]
        lines.append(
            f"{mine[0].cell.claim} {scenario}: {hits} of {len(mine)} reproduced it ({rate}); "
            f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s"
        )
        others = {s: n for s, n in counts.items() if s not in (Status.FAIL, Status.PASS)}
        lines += [f"  {count} times {status.value}" for status, count in others.items()]
        words = Counter(headline(result.detail) for result in mine if result.detail)
        lines += [f"  {count} times {word}" for word, count in words.most_common(5)]
    return lines
