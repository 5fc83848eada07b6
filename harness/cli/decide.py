# SPDX-License-Identifier: MIT
"""Decides claims on this machine or on a cluster, and shows the progress meanwhile."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click

from harness.cli import options
from harness.cli.journals import open_journal
from harness.cli.live import LiveRun
from harness.cli.messages import print_note
from harness.cluster.address import ClusterAddress
from harness.matrix.jobs import Job, jobs_of_settings, name_kernels
from harness.progress import stderr_progress
from harness.qemu.capacity import parallel_guests
from harness.report.journal import Journal
from harness.runner import run_cells
from harness.session import Session
from harness.settings import Settings
from harness.verdict import (
    EXIT_NO_VERDICT,
    Cell,
    CellResult,
    RunResult,
    exit_status,
    no_verdict_reason,
)

__all__ = ["Workers", "decide", "decide_jobs", "exit_status_of", "where_to_run"]

R = TypeVar("R")


@dataclass(frozen=True)
class Workers:
    """Where guests run: ``count`` in parallel on this machine, or on a cluster.

    A count of 0 means as many as this machine has memory for. ``resume`` goes on with an earlier
    run: see :func:`harness.cli.journals.open_journal`; with a cluster, whose decided jobs are in
    the cache, it may be any path.
    """

    count: int = 0
    cluster: ClusterAddress | None = None
    resume: Path | None = None

    def guests(self, settings: Settings) -> int:
        """Return how many guests run in parallel on this machine."""
        return self.count or parallel_guests(settings.memory_mib)


def where_to_run(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options that choose where guests run; pass them as ``where``."""

    @functools.wraps(command)
    def wrapper(
        *,
        workers: int,
        cluster: str | None,
        cluster_credentials: Path | None,
        cluster_unauthenticated: bool,
        resume: Path | None,
        **given: object,
    ) -> R:
        address = None
        if cluster is None:
            for name in ("cluster_credentials", "cluster_unauthenticated"):
                options.refuse(name, "there is no --cluster")
        else:
            address = ClusterAddress(cluster, cluster_credentials, cluster_unauthenticated)
            if not address.local:
                options.refuse("workers", "the cluster decides how many guests run")
            address.check()
        return command(where=Workers(workers, address, resume), **given)

    with_resume = click.option(
        "--resume",
        type=options.INPUT_PATH,
        is_flag=False,
        flag_value="",
        metavar="[DIRECTORY]",
        help="Go on with an earlier run of the same command: decide the cells that have no verdict "
        "in its results DIRECTORY (default: that of --artifacts). With --cluster: take jobs that "
        "were decided before from a cache.",
    )(wrapper)
    with_credentials = click.option(
        "--cluster-credentials",
        type=options.INPUT_PATH,
        metavar="DIRECTORY",
        help="Key and certificate of the cluster, made by `cluster credentials`; without it those "
        "in Dask's configuration are used.",
    )(with_resume)
    with_unauthenticated = click.option(
        "--cluster-unauthenticated",
        is_flag=True,
        help="Allow a tcp:// ADDRESS. Whoever reaches the scheduler or a worker can run code "
        "there, and read and forge verdicts.",
    )(with_credentials)
    with_cluster = click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Run on the Dask cluster at ADDRESS (tls://HOST:PORT); `local` starts one on this "
        "machine.",
    )(with_unauthenticated)
    return options.workers(with_cluster)


def decide(settings: Settings, workers: Workers) -> RunResult:
    """Decide the claims that the settings select; verdicts go into a journal as they come."""
    if workers.cluster is not None:
        return decide_jobs(jobs_of_settings(settings), settings, workers)
    with open_journal(settings, workers.resume) as journal:
        return _report_interrupt(_decide_here(settings, workers, journal, needs_kernel=True))


def _decide_here(
    settings: Settings, workers: Workers, journal: Journal | None, *, needs_kernel: bool
) -> RunResult:
    with LiveRun(stderr_progress()) as live:
        return run_cells(
            settings,
            workers.guests(settings),
            live.progress,
            live.show,
            live.start,
            journal,
            needs_kernel=needs_kernel,
        )


def decide_jobs(jobs: Sequence[Job], settings: Settings, workers: Workers) -> RunResult:
    """Decide the jobs of a matrix, one after the other, or on a cluster."""
    if workers.cluster is None:
        with open_journal(settings, workers.resume, jobs) as journal:
            return _report_interrupt(_one_by_one(jobs, settings, workers, journal))
    # Imported here since Dask takes a second, and most runs need no cluster.
    from harness.cluster.engine import run_on_cluster  # noqa: PLC0415

    progress = stderr_progress()
    with Session(settings, progress) as session, LiveRun(progress) as live:
        live.start(None)
        outcome = run_on_cluster(
            jobs,
            settings,
            workers.cluster,
            workers=workers.guests(settings),
            session=session,
            resume=workers.resume is not None,
            on_result=live.show,
        )
    return _report_interrupt(outcome)


def exit_status_of(run: RunResult) -> int:
    """Return the exit status for a run; print why if it decided nothing."""
    if reason := no_verdict_reason(run.results):
        print_note(f"no verdict: {reason}")
    return EXIT_NO_VERDICT if run.interrupted else exit_status(run.results)


def _one_by_one(
    jobs: Sequence[Job], settings: Settings, workers: Workers, journal: Journal | None
) -> RunResult:
    outcomes: list[RunResult] = []
    decided: list[tuple[Job, CellResult]] = []
    for job in jobs:
        # The verdicts of other jobs are not given up when this host cannot get one job's kernel.
        here = _decide_here(job.settings(settings), workers, journal, needs_kernel=len(jobs) == 1)
        outcomes.append(here)
        decided += [(job, result) for result in outcomes[-1].results]
        if outcomes[-1].interrupted:
            break
    notes = dict.fromkeys(note for outcome in outcomes for note in outcome.notes)
    results = [result for _, result in name_kernels(decided)]
    recalled = frozenset[Cell]().union(*(outcome.recalled for outcome in outcomes))
    last = outcomes[-1]
    return RunResult(results, last.host, last.interrupted, list(notes), recalled)


def _report_interrupt(outcome: RunResult) -> RunResult:
    if outcome.interrupted:
        print_note("interrupted; these are the verdicts until then, a MISS was not run")
    return outcome
