# SPDX-License-Identifier: MIT
"""Clusters that are lost in the middle of a run: verdicts stay, and what was not run is a MISS."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from harness.cluster import engine
from harness.cluster.address import ClusterAddress
from harness.matrix.jobs import Job
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_NO_VERDICT, CellResult, RunResult, Status, exit_status
from tests.test_cluster import Scheduler, Worker, credentials, scheduler, until, worker

__all__ = ["credentials", "scheduler", "worker"]  # the fixtures

JOBS = [Job("debian:6.12", "class-fixed", "sev-snp", ("R1",), seed) for seed in range(4)]


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A directory for the temporary files of workers, with a short name."""
    directory = Path(tempfile.mkdtemp(prefix="tsm-test-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


class _Victim(Protocol):
    def kill(self) -> None: ...


class _Loss:
    """Runs the jobs, and kills processes when the first verdict is reported."""

    def __init__(self, scheduler: Scheduler, session: Session, artifacts: Path) -> None:
        self._cluster = ClusterAddress(scheduler.address(1), scheduler.credentials)
        self._session = session
        self._settings = Settings(artifacts=artifacts, cache=session.cache.root)
        self.reported: list[CellResult] = []

    def run(self, victim: _Victim) -> RunResult:
        """Return the outcome; each reported verdict kills ``victim``."""

        def on_result(result: CellResult) -> None:
            self.reported.append(result)
            victim.kill()

        return engine.run_on_cluster(
            JOBS,
            self._settings,
            self._cluster,
            workers=1,
            session=self._session,
            on_result=on_result,
        )


def _check(outcome: RunResult, reported: list[CellResult], reason: str) -> None:
    """Require every reported verdict, and a MISS with its reason for everything else."""
    found = Counter(result.status for result in outcome.results)
    assert found[Status.PASS] >= 1
    assert found[Status.MISS] >= 1
    assert {result.cell.seed for result in outcome.results} == {0, 1, 2, 3}
    assert {result.cell for result in reported} == {result.cell for result in outcome.results}
    misses = [result for result in outcome.results if result.status is Status.MISS]
    assert all(reason in result.detail for result in misses)
    assert any(reason in note for note in outcome.notes)
    assert exit_status(outcome.results) == EXIT_NO_VERDICT


def test_a_cluster_without_workers_ends_with_its_verdicts(
    scheduler: Scheduler,
    worker: Worker,
    session: Session,
    tmp_path: Path,
    temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "_WITHOUT_WORKERS_SECONDS", 1.0)
    only = worker("only", TMPDIR=str(temporary))
    loss = _Loss(scheduler, session, tmp_path / "artifacts")
    _check(loss.run(only), loss.reported, "has had no worker for 1 seconds")
    until(lambda: not list(temporary.glob("tsm-harness-*")), "the end of the worker's files")


def test_a_worker_that_comes_in_time_goes_on(
    scheduler: Scheduler, worker: Worker, session: Session, tmp_path: Path
) -> None:
    first = worker("first")
    loss = _Loss(scheduler, session, tmp_path / "artifacts")
    replaced: list[subprocess.Popen[bytes]] = []

    class Replace:
        def kill(self) -> None:
            if not replaced:
                first.kill()
                replaced.append(worker("second"))

    outcome = loss.run(Replace())
    found = Counter(result.status for result in outcome.results)
    assert (found[Status.PASS], found[Status.MISS], found[Status.ERROR]) == (4, 0, 0)


def test_a_scheduler_that_dies_costs_no_reported_verdict(
    scheduler: Scheduler, worker: Worker, session: Session, tmp_path: Path
) -> None:
    worker("only")
    loss = _Loss(scheduler, session, tmp_path / "artifacts")
    _check(loss.run(scheduler.process), loss.reported, "scheduler was lost")
