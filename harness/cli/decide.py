# SPDX-License-Identifier: MIT
"""From what is asked for to verdicts: here, or on a cluster, showing progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from harness.cli import options
from harness.cli.live import LiveRun
from harness.cluster.engine import run_on_cluster
from harness.matrix.jobs import Job, jobs_of_settings
from harness.oracle.printable import printable
from harness.qemu.capacity import parallel_guests
from harness.runner import run_cells
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_NO_VERDICT, RunResult, exit_status, no_verdict_reason

__all__ = ["Where", "decide", "decide_jobs", "exit_status_of"]


@dataclass(frozen=True)
class Where:
    """``workers`` guests side by side on this machine, 0 for as many as it bears; or a cluster.

    With ``resume`` a cluster does no job again that was done before.
    """

    workers: int = 0
    cluster: str | None = None
    resume: bool = False

    def guests(self, settings: Settings) -> int:
        """How many guests there are side by side."""
        return self.workers or parallel_guests(settings.memory_mib)


def decide(settings: Settings, where: Where) -> RunResult:
    """Decide what the settings name."""
    if where.cluster is not None:
        return decide_jobs(jobs_of_settings(settings), settings, where)
    with LiveRun(options.progress()) as live:
        guests = where.guests(settings)
        outcome = run_cells(settings, guests, live.progress, live.result, live.start)
    return _told(outcome)


def decide_jobs(jobs: Sequence[Job], settings: Settings, where: Where) -> RunResult:
    """Decide the jobs of a matrix, one after the other, or on a cluster."""
    if where.cluster is None:
        return _in_turn(jobs, settings, where)
    progress = options.progress()
    with Session(settings, progress) as session, LiveRun(progress) as live:
        live.start(None)
        outcome = run_on_cluster(
            jobs,
            settings,
            where.cluster,
            workers=where.guests(settings),
            session=session,
            resume=where.resume,
            on_result=live.result,
        )
    return _told(outcome)


def exit_status_of(run: RunResult) -> int:
    """Return the exit status for a run; print why if it decided nothing."""
    if reason := no_verdict_reason(run.results):
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        console.print(f"no verdict: {printable(reason)}", markup=False)
    return EXIT_NO_VERDICT if run.interrupted else exit_status(run.results)


def _in_turn(jobs: Sequence[Job], settings: Settings, where: Where) -> RunResult:
    outcomes: list[RunResult] = []
    for job in jobs:
        outcomes.append(decide(job.settings(settings), where))
        if outcomes[-1].interrupted:
            break
    results = [result for outcome in outcomes for result in outcome.results]
    notes = dict.fromkeys(note for outcome in outcomes for note in outcome.notes)
    return RunResult(results, outcomes[-1].host, outcomes[-1].interrupted, list(notes))


def _told(outcome: RunResult) -> RunResult:
    if outcome.interrupted:
        Console(stderr=True).print("interrupted: what was decided until then follows")
    return outcome
