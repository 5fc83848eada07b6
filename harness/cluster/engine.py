# SPDX-License-Identifier: MIT
"""Hands jobs to the workers of a Dask cluster, and takes what they found out."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.cluster.results import job_keys, load, store
from harness.cluster.task import TaskResult, run_task
from harness.cluster.verdicts import Board
from harness.errors import HostError, UsageError
from harness.matrix.jobs import Job
from harness.session import Session
from harness.settings import Settings
from harness.verdict import CellResult, RunResult

try:
    from distributed import Client, Future, KilledWorker, LocalCluster, wait
except ImportError:  # an extra of the package
    Client = None

__all__ = ["run_on_cluster"]

_TRIES = 3
_CONNECT_SECONDS = 10
_LOOK_SECONDS = 2.0  # how late it is seen that a worker is gone
LOCAL = "local"


def run_on_cluster(
    jobs: Sequence[Job],
    settings: Settings,
    address: str,
    *,
    workers: int,
    bench: Session,
    resume: bool = False,
    on_result: Callable[[CellResult], None] = lambda _: None,
) -> RunResult:
    """Run ``jobs`` on the cluster at ``address``, or on ``workers`` processes here (``local``).

    What ends in ERROR is tried again by other workers, what FAILs is not. With ``resume`` a job
    that was done before, by the same harness, with the same kernel and core, is not done again.
    Raises :class:`HostError` when there is no such cluster.
    """
    board = Board(settings.artifacts.absolute(), on_result)
    keys = job_keys(jobs, settings, bench)
    todo = list(jobs)
    if resume:
        todo = [job for job in jobs if not _recalled(board, bench, job, keys.get(job))]
    interrupted = False
    try:
        with _client(address, workers) as client:
            for job, result in _work(client, todo, settings, board):
                if job in keys:
                    store(bench.cache, keys[job], result)
    except KeyboardInterrupt:
        interrupted = True
    done = [job for job in jobs if job not in todo]
    recalled = frozenset(result.cell for result in board.results(done))
    return RunResult(board.results(jobs), board.host, interrupted, board.notes, recalled)


def _recalled(board: Board, bench: Session, job: Job, key: str | None) -> bool:
    result = load(bench.cache, key) if key else None
    if result is not None:
        board.take(job, result, tries=1)
    return result is not None


def _work(
    client: Client, jobs: Sequence[Job], settings: Settings, board: Board
) -> Iterator[tuple[Job, TaskResult]]:
    """Yields what decided a whole job at once; the board learns of all the rest, too."""
    tried: dict[Job, list[str]] = {job: [] for job in jobs}
    running = dict(_submit(client, job, job, settings) for job in jobs)
    while running:
        for future in _finished(running):
            job = running.pop(future).job
            result = _result(future)
            tried[job].append(result.worker)
            board.take(job, result, tries=len(tried[job]))
            left = board.left(job)
            if not left and len(tried[job]) == 1:
                yield job, result
            elif left and len(tried[job]) < _TRIES:
                again = replace(job, claims=left)
                running.update([_submit(client, job, again, settings, tried[job])])
            elif left:
                board.give_up(job, result.words or "no worker has sent a report")
        for future in _stranded(client, running):
            stranded = running.pop(future)
            future.cancel()
            running.update([_submit(client, stranded.job, stranded.part, settings)])


@dataclass(frozen=True)
class _Attempt:
    """A try of ``part`` of ``job``, by one of the workers ``only``, or by any without those."""

    job: Job
    part: Job
    only: frozenset[str]


def _submit(
    client: Client, job: Job, part: Job, settings: Settings, tried: Sequence[str] = ()
) -> tuple[Future, _Attempt]:
    """To a worker that has not tried it yet, if there is any."""
    fresh = frozenset(_workers(client) - set(tried)) if tried else frozenset()
    words = part.settings(settings).run_arguments()
    here = os.getcwd()  # noqa: PTH109 - a name, for a worker that may have it or not
    only = sorted(fresh) or None
    return client.submit(run_task, words, here, pure=False, workers=only), _Attempt(
        job, part, fresh
    )


def _workers(client: Client) -> set[str]:
    return set(client.scheduler_info(n_workers=-1)["workers"])


def _finished(running: Mapping[Future, _Attempt]) -> list[Future]:
    """Those that have ended, of which there may be none for some time."""
    with contextlib.suppress(TimeoutError):
        wait(list(running), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED")
    return [future for future in running if future.done()]


def _stranded(client: Client, running: Mapping[Future, _Attempt]) -> list[Future]:
    """Those that wait for workers that are gone: the scheduler would wait for ever."""
    alive = _workers(client)
    return [one for one, attempt in running.items() if attempt.only and not attempt.only & alive]


def _result(future: Future) -> TaskResult:
    try:
        result: TaskResult = future.result()
    except KilledWorker as error:
        return TaskResult(b"", b"", f"every worker that tried it died: {error}", -1, "")
    except Exception as error:  # what a worker raises is no verdict
        return TaskResult(b"", b"", f"a worker broke: {error!r}", -1, "")
    return result


@contextlib.contextmanager
def _client(address: str, workers: int) -> Iterator[Client]:
    if Client is None:
        raise HostError("distributed is not installed", hint="pip install 'tsm-harness[cluster]'")
    # Workers come and go: what matters of it is in the verdicts.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        if address == LOCAL:
            local = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            address = stack.enter_context(local).scheduler_address
        try:
            client = stack.enter_context(Client(address, timeout=_CONNECT_SECONDS))
            client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except (OSError, TimeoutError) as error:
            raise HostError(
                f"there is no cluster with workers at {address}: {error}",
                hint="start one with `dask scheduler` and `dask worker ADDRESS`",
            ) from error
        except ValueError as error:
            raise UsageError(f"{address} is no address of a cluster: {error}") from error
        yield client
