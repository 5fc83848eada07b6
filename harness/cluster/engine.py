# SPDX-License-Identifier: MIT
"""Submits jobs to the workers of a Dask cluster, and collects their verdicts."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cluster.job_cache import job_keys, load_result, store_result
from harness.cluster.task import TaskResult, run_task
from harness.cluster.verdicts import JobVerdicts
from harness.errors import HostError, UsageError
from harness.matrix.jobs import Job
from harness.session import Session
from harness.settings import Settings
from harness.verdict import CellResult, RunResult

try:
    from distributed import Client, Future, KilledWorker, LocalCluster, wait
except ImportError:  # an optional dependency
    Client = None

__all__ = ["run_on_cluster"]

_MAX_ATTEMPTS = 3
_CONNECT_SECONDS = 10
_POLL_SECONDS = 2.0  # the delay before a lost worker is noticed
LOCAL = "local"


def run_on_cluster(
    jobs: Sequence[Job],
    settings: Settings,
    address: str,
    *,
    workers: int,
    session: Session,
    resume: bool = False,
    on_result: Callable[[CellResult], None] = lambda _: None,
) -> RunResult:
    """Run ``jobs`` on the cluster at ``address``; ``local`` starts one of ``workers`` processes.

    Claims that end in ERROR are decided again by other workers; a FAIL never is. With ``resume``,
    a job is taken from the cache if the same harness decided it on the same kernel and
    implementation. Raises :class:`HostError` when there is no such cluster.
    """
    verdicts = JobVerdicts(settings.artifacts.absolute(), on_result)
    keys = job_keys(jobs, settings, session)
    cached = []
    if resume:
        cached = [job for job in jobs if _add_cached(verdicts, session, job, keys.get(job))]
    remaining = [job for job in jobs if job not in cached]
    interrupted = False
    try:
        with _connected(address, workers) as client:
            for job, result in _decide(client, remaining, settings, verdicts):
                if job in keys:
                    store_result(session.cache, keys[job], result)
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
    while running:
        for future in _finished(running):
            job = running.pop(future).job
            result = _result(future)
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
        for future in _stranded(client, running):
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


def _workers(client: Client) -> set[str]:
    return set(client.scheduler_info(n_workers=-1)["workers"])


def _finished(running: Mapping[Future, _Attempt]) -> list[Future]:
    """Wait for at most the poll interval, and return the attempts that have ended."""
    with contextlib.suppress(TimeoutError):
        wait(list(running), timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
    return [future for future in running if future.done()]


def _stranded(client: Client, running: Mapping[Future, _Attempt]) -> list[Future]:
    """Return the attempts whose workers are all gone; the scheduler would wait for ever."""
    alive = _workers(client)
    return [
        future
        for future, attempt in running.items()
        if attempt.workers and not attempt.workers & alive
    ]


def _result(future: Future) -> TaskResult:
    try:
        result: TaskResult = future.result()
    except KilledWorker as error:
        return TaskResult(b"", b"", f"every worker that tried it died: {error}", -1, "")
    except Exception as error:  # whatever a worker raises, it is no verdict
        return TaskResult(b"", b"", f"a worker raised {error!r}", -1, "")
    return result


@contextlib.contextmanager
def _connected(address: str, workers: int) -> Iterator[Client]:
    if Client is None:
        raise HostError(
            "the package distributed is not installed",
            hint="run: pip install 'tsm-harness[cluster]'",
        )
    # It logs every worker that joins or leaves, over the live progress.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            address = stack.enter_context(_local_cluster(workers)).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=_CONNECT_SECONDS))
            client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise HostError(
                f"no cluster with workers at {address}: {error}",
                hint="start one with `dask scheduler` and `dask worker ADDRESS`",
            ) from error
        except ValueError as error:
            raise UsageError(
                f"--cluster {address} is not the address of a cluster: {error}",
                hint="use `local`, or an address like tcp://HOST:8786",
            ) from error
        yield client


def _local_cluster(workers: int) -> LocalCluster:
    """Start a cluster whose processes ignore Ctrl-C: this process ends them.

    They inherit the signal mask; an interrupt meanwhile stays pending for this process.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
