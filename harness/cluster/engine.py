# SPDX-License-Identifier: MIT
"""Submits jobs to the workers of a Dask cluster, and collects their verdicts."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace

from harness.cluster.address import ClusterAddress
from harness.cluster.connection import connected
from harness.cluster.job_cache import job_keys, load_result, store_result
from harness.cluster.task import TaskResult, run_task
from harness.cluster.verdicts import JobVerdicts
from harness.errors import HostError
from harness.matrix.jobs import Job
from harness.session import Session
from harness.settings import Settings
from harness.verdict import CellResult, RunResult, Status

try:
    from distributed import Client, Future, KilledWorker, wait
except ImportError:  # an optional dependency
    Client = None

__all__ = ["run_on_cluster"]

_MAX_ATTEMPTS = 3
_POLL_SECONDS = 2.0  # the delay before a lost worker is noticed
_WITHOUT_WORKERS_SECONDS = 60.0  # enough to start a worker again


class _ClusterLostError(HostError):
    """The cluster cannot decide anything any more."""


def run_on_cluster(
    jobs: Sequence[Job],
    settings: Settings,
    cluster: ClusterAddress,
    *,
    workers: int,
    session: Session,
    resume: bool = False,
    on_result: Callable[[CellResult], None] = lambda _: None,
) -> RunResult:
    """Run ``jobs`` on ``cluster``; a local one is started, with ``workers`` processes.

    Claims that end in ERROR are decided again by other workers; a FAIL never is. With ``resume``,
    a job is taken from the cache if the same harness decided it on the same kernel and
    implementation. Raises :class:`HostError` when there is no such cluster. When the cluster is
    lost later, its verdicts stay, and what was not run becomes a MISS.
    """
    verdicts = JobVerdicts(settings.artifacts.absolute(), on_result)
    keys = job_keys(jobs, settings, session)
    cached = []
    if resume:
        cached = [job for job in jobs if _add_cached(verdicts, session, job, keys.get(job))]
    remaining = [job for job in jobs if job not in cached]
    interrupted = False
    try:
        with connected(cluster, workers) as client:
            for job, result in _decide(client, remaining, settings, verdicts):
                if job in keys:
                    store_result(session.cache, keys[job], result)
    except _ClusterLostError as error:
        verdicts.notes.append(f"{error}; {error.hint}")
        for job in remaining:
            verdicts.give_up(job, str(error), Status.MISS)
    except KeyboardInterrupt:
        interrupted = True
    decided = verdicts.decided(jobs)
    recalled = frozenset(result.cell for job, result in decided if job in cached)
    results = [result for _, result in decided]
    return RunResult(results, verdicts.host, interrupted, verdicts.notes, recalled)


def _add_cached(verdicts: JobVerdicts, session: Session, job: Job, key: str | None) -> bool:
    result = load_result(session.cache, key) if key else None
    if result is not None:
        verdicts.add(job, result, attempt=1)
    return result is not None


def _decide(
    client: Client, jobs: Sequence[Job], settings: Settings, verdicts: JobVerdicts
) -> Iterator[tuple[Job, TaskResult]]:
    """Add the results of all jobs to ``verdicts``; yield those of jobs decided at first try."""
    tried: dict[Job, list[str]] = {job: [] for job in jobs}
    running = dict(_submit(client, job, job, settings) for job in jobs)
    presence = _Presence(client)
    while running:
        for future in _finished(running):
            job = running.pop(future).job
            result = _result(client, future)
            tried[job].append(result.worker)
            attempt = len(tried[job])
            verdicts.add(job, result, attempt=attempt)
            undecided = verdicts.undecided_claims(job)
            if not undecided and attempt == 1:
                yield job, result
            elif undecided and attempt < _MAX_ATTEMPTS:
                part = replace(job, claims=undecided)
                running.update([_submit(client, job, part, settings, tried[job])])
            elif undecided:
                verdicts.give_up(job, result.message or "no worker has sent a run report")
        for future in _stranded(presence.workers(), running):
            stranded = running.pop(future)
            future.cancel()
            running.update([_submit(client, stranded.job, stranded.part, settings)])


@dataclass(frozen=True)
class _Attempt:
    """An attempt at ``part`` of ``job``, by one of ``workers``, or by any when that is empty."""

    job: Job
    part: Job
    workers: frozenset[str]


def _submit(
    client: Client, job: Job, part: Job, settings: Settings, tried: Sequence[str] = ()
) -> tuple[Future, _Attempt]:
    """Submit ``part`` to a worker that has not tried it, if there is one."""
    fresh = frozenset(_workers(client) - set(tried)) if tried else frozenset()
    arguments = part.settings(settings).used().run_arguments()
    directory = os.getcwd()  # noqa: PTH109 - a name: the worker's machine may not have it
    only = sorted(fresh) or None
    future = client.submit(run_task, arguments, directory, pure=False, workers=only)
    return future, _Attempt(job, part, fresh)


class _Presence:
    """Watches which workers the cluster has."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen = time.monotonic()

    def workers(self) -> set[str]:
        """Return the addresses of the workers; raises when the cluster is lost."""
        _require_scheduler(self._client)
        workers = _workers(self._client)
        if workers:
            self._seen = time.monotonic()
        elif time.monotonic() - self._seen >= _WITHOUT_WORKERS_SECONDS:
            raise _ClusterLostError(
                f"the cluster has had no worker for {_WITHOUT_WORKERS_SECONDS:.0f} seconds",
                hint="start workers, and repeat the command with --resume",
            )
        return workers


def _require_scheduler(client: Client) -> None:
    """Raise if the connection was lost: with it, the scheduler forgets what the client submitted.

    A client that has connected again is no better off.
    """
    if client.status != "running":
        raise _scheduler_lost()


def _scheduler_lost() -> _ClusterLostError:
    return _ClusterLostError(
        "the connection to the cluster's scheduler was lost",
        hint="start a scheduler and workers, and repeat the command with --resume",
    )


def _workers(client: Client) -> set[str]:
    return set(client.scheduler_info(n_workers=-1)["workers"])


def _finished(running: Mapping[Future, _Attempt]) -> list[Future]:
    """Wait for at most the poll interval, and return the attempts that have ended."""
    # Futures are cancelled when the scheduler is lost.
    with contextlib.suppress(TimeoutError, CancelledError):
        wait(list(running), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
    return [future for future in running if future.done()]


def _stranded(alive: set[str], running: Mapping[Future, _Attempt]) -> list[Future]:
    """Return the attempts whose workers are all gone; the scheduler would wait for ever."""
    return [
        future
        for future, attempt in running.items()
        if attempt.workers and not attempt.workers & alive
    ]


def _result(client: Client, future: Future) -> TaskResult:
    try:
        result: TaskResult = future.result()
    except KilledWorker as error:
        return TaskResult(b"", b"", f"every worker that tried it died: {error}", -1, "")
    except CancelledError as error:
        raise _scheduler_lost() from error
    except Exception as error:  # whatever a worker raises, it is no verdict
        _require_scheduler(client)
        return TaskResult(b"", b"", f"a worker raised {error!r}", -1, "")
    return result
