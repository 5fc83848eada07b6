# SPDX-License-Identifier: MIT
"""``run`` decides claims; ``reproduce`` runs one claim many times."""

from __future__ import annotations

import shlex
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from harness.claims.catalogue import claim_summaries, decidable_claims, undecided_claims
from harness.cli import options
from harness.cli.bases import with_found_bases
from harness.cli.columns import named_pair, with_pairs
from harness.cli.decide import Workers, decide, decide_jobs, exit_status_of, where_to_run
from harness.cli.messages import print_note
from harness.cli.patchsets import with_patchsets
from harness.cli.reports import ReportFiles, report_files
from harness.errors import HostError, UsageError
from harness.history.database import history_file, record_run
from harness.implementations.subject import subjects_of
from harness.matrix.file import read_matrix
from harness.matrix.jobs import Job, jobs_of
from harness.option import Use
from harness.report.table import print_report
from harness.report.text import print_text
from harness.settings import Settings
from harness.verdict import CellResult, RunResult, Status, headline

__all__ = ["reproduce", "run"]

_MAX_DETAILS = 5


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.settings(decides=True, all_used=False)
@click.option(
    "--matrix",
    type=options.INPUT_FILE,
    help="Decide the jobs of a matrix file; see `tsm-harness matrix --help`.",
)
@click.option(
    "--compare",
    "compared",
    nargs=2,
    metavar="A B",
    help="Say what changed from column A to column B: two implementations, kernels or providers.",
)
@report_files
@where_to_run
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Explain every FAIL with all of its lines; name the claims without a scenario.",
)
@options.history
def run(
    settings: Settings,
    matrix: Path | None,
    compared: tuple[str, str] | None,
    reports: ReportFiles,
    where: Workers,
    verbose: bool,
    history: Path | None,
) -> int:
    """Decide claims on kernels and implementations.

    Without arguments, it decides every claim on debian:6.12 with class-posted, class-fixed and
    mainline. The exit status is 0 when every verdict is as expected, 1 when one is not, and 125
    without a verdict. A patch to merged code is expected to PASS what its base passes.
    """
    jobs = _jobs_of_matrix(settings, matrix) if matrix else None
    columns = _columns(jobs, settings) if jobs else settings
    options.refuse_unused(columns)
    found: list[str] = []
    if not jobs:
        settings, found = with_found_bases(settings)
        columns = settings
    pair = named_pair(columns, *compared) if compared else None
    date = datetime.now(UTC).isoformat(timespec="seconds")
    judged = settings.with_bases()
    outcome = decide_jobs(jobs, settings, where) if jobs else decide(judged, where)
    outcome = with_pairs(outcome, pair, columns.tsms)
    outcome = replace(outcome, notes=[*found, *_added_bases(settings, judged), *outcome.notes])
    outcome = _described(outcome, everything=not settings.claims and matrix is None)
    outcome = with_patchsets(outcome, columns.tsms)
    outcome = replace(
        outcome,
        command=_command(settings, matrix, compared),
        date=date,
        subjects=subjects_of(result.cell.tsm for result in outcome.results),
    )
    console = Console(stderr=reports.use_standard_output)
    print_report(outcome, console, verbose=verbose)
    reports.write(outcome)
    _record(history, outcome, settings)
    return exit_status_of(outcome)


def _added_bases(settings: Settings, judged: Settings) -> list[str]:
    """Say which implementations are judged only since a patch changes them."""
    added = [tsm for tsm in judged.tsms if tsm not in settings.tsms]
    return [f"{tsm} is judged too, since a patch changes it" for tsm in added]


def _described(run: RunResult, *, everything: bool) -> RunResult:
    """Add what the run report says of claims; of undecided ones if ``everything`` was run."""
    undecided = undecided_claims() if everything else {}
    shown = {result.cell.claim for result in run.results} | set(undecided)
    return replace(run, claims=claim_summaries(shown), undecided=undecided)


def _command(settings: Settings, matrix: Path | None, compared: Sequence[str] | None) -> str:
    """Return the command line that repeats the run."""
    arguments = ["--matrix", str(matrix)] if matrix else []
    arguments += ["--compare", *compared] if compared else []
    return " ".join([settings.command(), *([shlex.join(arguments)] if arguments else [])])


def _jobs_of_matrix(settings: Settings, file: Path) -> list[Job]:
    context = click.get_current_context()
    for each in Settings.options():
        source = context.get_parameter_source(each.name)
        if each.use is Use.CELL and source is click.core.ParameterSource.COMMANDLINE:
            name = each.name if each.positional else f"--{each.flag}"
            raise UsageError(
                f"--matrix cannot be combined with {name}", hint=f"write the values into {file}"
            )
    return jobs_of(read_matrix(file), settings)


def _columns(jobs: Sequence[Job], settings: Settings) -> Settings:
    """Return the settings with every kernel, implementation and provider of the jobs."""
    return replace(
        settings,
        kernels=tuple(dict.fromkeys(job.kernel for job in jobs)),
        tsms=tuple(dict.fromkeys(job.tsm for job in jobs)),
        providers=tuple(dict.fromkeys(job.provider for job in jobs)),
        claims=tuple(dict.fromkeys(claim for job in jobs for claim in _claims_of(job))),
    )


def _claims_of(job: Job) -> Sequence[str]:
    return job.claims or decidable_claims(())


def _record(history: Path | None, outcome: RunResult, settings: Settings) -> None:
    """Add a run to the history; the verdicts do not depend on whether that works."""
    try:
        fresh = [result for result in outcome.results if result.cell not in outcome.recalled]
        record_run(history_file(history), fresh, settings.command())
    except HostError as error:
        print_note(f"{error}; {error.hint}")


@click.command()
@click.argument("claim")
@options.settings(one_cell=True, decides=True, tsms="class-posted", times=20)
@options.workers
@options.history
def reproduce(settings: Settings, claim: str, workers: int, history: Path | None) -> int:
    """Run one claim many times, each in a fresh guest; print the number of FAILs and the time.

    Each run has the seed of the one before, plus one.
    """
    settings = replace(settings, claims=(claim,)).check()
    outcome = decide(settings, Workers(workers))
    console = Console(highlight=False)
    for place in sorted({(r.cell.kernel, r.cell.tsm, r.cell.provider) for r in outcome.results}):
        print_text(console, ", ".join(place))
    for scenario in sorted({result.cell.scenario for result in outcome.results}):
        members = [result for result in outcome.results if result.cell.scenario == scenario]
        for line in _rate(members):
            print_text(console, line)
    _record(history, outcome, settings)
    return exit_status_of(outcome)


def _rate(results: Sequence[CellResult]) -> Iterator[str]:
    """Describe the results of one scenario in a few lines."""
    name = f"{results[0].cell.claim} {results[0].cell.scenario}"
    decided = [result for result in results if result.decided]
    fails = sum(result.status is Status.FAIL for result in decided)
    if decided:
        seconds = [result.duration_s for result in decided]
        yield (
            f"{name}: {fails} of {len(decided)} reproduced it ({fails / len(decided):.1%}); "
            f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s"
        )
    else:
        yield f"{name}: no verdict"
    details = Counter(
        (result.status.value, headline(result.detail))
        for result in results
        if result.status is not Status.PASS
    )
    for (status, text), count in details.most_common(_MAX_DETAILS):
        yield f"  {count} {'time' if count == 1 else 'times'} {status}: {text}"
    if len(details) > _MAX_DETAILS:
        yield f"  and {len(details) - _MAX_DETAILS} other reasons"
