# SPDX-License-Identifier: MIT
"""Decides claims on this machine or on a cluster, and shows the progress meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.cli.live import LiveRun
from harness.cli.messages import print_note
from harness.matrix.jobs import Job, jobs_of_settings, name_kernels
from harness.progress import stderr_progress
from harness.qemu.capacity import parallel_guests
from harness.runner import run_cells
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_NO_VERDICT, CellResult, RunResult, exit_status, no_verdict_reason

__all__ = ["Workers", "decide", "decide_jobs", "exit_status_of"]


@dataclass(frozen=True)
class Workers:
    """Where guests run: ``count`` in parallel on this machine, or on a cluster.

    A count of 0 means as many as this machine has memory for. ``resume`` takes the jobs that a
    cluster decided before from the cache.
    """

    count: int = 0
    cluster: str | None = None
    resume: bool = False

    def guests(self, settings: Settings) -> int:
        """Return how many guests run in parallel on this machine."""
        return self.count or parallel_guests(settings.memory_mib)


def decide(settings: Settings, workers: Workers) -> RunResult:
    """Decide the claims that the settings select."""
    if workers.cluster is not None:
        return decide_jobs(jobs_of_settings(settings), settings, workers)
    with LiveRun(stderr_progress()) as live:
        guests = workers.guests(settings)
        outcome = run_cells(settings, guests, live.progress, live.show, live.start)
    return _report_interrupt(outcome)


def decide_jobs(jobs: Sequence[Job], settings: Settings, workers: Workers) -> RunResult:
    """Decide the jobs of a matrix, one after the other, or on a cluster."""
    if workers.cluster is None:
        return _one_by_one(jobs, settings, workers)
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
            resume=workers.resume,
            on_result=live.show,
        )
    return _report_interrupt(outcome)


def exit_status_of(run: RunResult) -> int:
    """Return the exit status for a run; print why if it decided nothing."""
    if reason := no_verdict_reason(run.results):
        print_note(f"no verdict: {reason}")
    return EXIT_NO_VERDICT if run.interrupted else exit_status(run.results)


def _one_by_one(jobs: Sequence[Job], settings: Settings, workers: Workers) -> RunResult:
    outcomes: list[RunResult] = []
    decided: list[tuple[Job, CellResult]] = []
    for job in jobs:
        outcomes.append(decide(job.settings(settings), workers))
        decided += [(job, result) for result in outcomes[-1].results]
        if outcomes[-1].interrupted:
            break
    notes = dict.fromkeys(note for outcome in outcomes for note in outcome.notes)
    results = [result for _, result in name_kernels(decided)]
    return RunResult(results, outcomes[-1].host, outcomes[-1].interrupted, list(notes))


def _report_interrupt(outcome: RunResult) -> RunResult:
    if outcome.interrupted:
        print_note("interrupted; these are the verdicts until then, a MISS was not run")
    return outcome
