# SPDX-License-Identifier: MIT
"""Runs cells through pytest and returns their results."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.claims.catalogue import catalogue
from harness.errors import HarnessError
from harness.plugin.collector import Collector
from harness.prepare import WorkerContext, inputs_of, prepare
from harness.progress import Progress
from harness.qemu.rundir import RunDirectory
from harness.report.journal import Journal
from harness.session import Session
from harness.settings import Settings
from harness.verdict import CellResult, RunResult

__all__ = ["run_cells"]


_MAX_STARTS = 20  # of pytest, in one run
_MAX_IDLE_STARTS = 3  # of pytest, one after the other, that ran no cell
_MAX_CRASHES = 40  # of workers in one start of pytest


def run_cells(
    settings: Settings,
    workers: int,
    progress: Progress,
    on_result: Callable[[CellResult], None] = lambda _: None,
    on_start: Callable[[int], None] = lambda _: None,
    journal: Journal | None = None,
    *,
    needs_kernel: bool = False,
) -> RunResult:
    """Prepare kernels, implementations and templates; run every cell in ``workers`` processes.

    If an implementation cannot be prepared, its own cells become ERROR. Cells that a dead worker
    or an interrupt left out are MISS. Each verdict is written into ``journal`` when it is reached;
    cells that have a verdict there are not run. Raises :class:`HarnessError` if the scenarios
    cannot be collected, and with ``needs_kernel`` if this host can get none of the kernels.
    """
    job = _job(settings)
    with Session(settings, progress) as session:
        prepared = prepare(session, settings, needs_kernel=needs_kernel)
        host = session.describe_host()
        if journal is not None:
            journal.begin(job, inputs_of(session, settings))
    known = journal.decided(job) if journal else {}

    def take(node: str, result: CellResult) -> None:
        if journal is not None:
            journal.add(job, node, result)
        on_result(result)

    scratch = RunDirectory()
    try:
        cells = scratch.subdirectory("cells")
        worker = WorkerContext(prepared.failures, cells, scratch.path / "left-out.json")
        collector = Collector(cells, take, on_start)
        code = _start_until_done(settings, worker, workers, collector, known)
        results = [*known.values(), *collector.results.values(), *collector.missed]
    finally:
        scratch.close()
    if not (known or collector.results):
        _refuse_broken(code, collector)
    results.sort(key=_order(settings))
    recalled = journal.reported(job).values() if journal else ()
    return RunResult(
        results,
        host,
        code == pytest.ExitCode.INTERRUPTED,
        prepared.notes,
        recalled=frozenset(result.cell for result in recalled),
    )


def _refuse_broken(code: int, collector: Collector) -> None:
    """Raise :class:`HarnessError` if pytest could not collect or start any scenario."""
    if collector.errors or code not in (0, 1, pytest.ExitCode.INTERRUPTED):
        reason = "\n".join(collector.errors) or collector.broken or f"pytest ended with {code}"
        raise HarnessError(
            f"the scenarios cannot be collected:\n{reason}", hint=f"run `pytest {_scenarios()}`"
        )


def _start_until_done(
    settings: Settings,
    worker: WorkerContext,
    workers: int,
    collector: Collector,
    known: Iterable[str],
) -> int:
    """Run pytest, and again for the cells that were not started if pytest itself failed.

    pytest-xdist fails as a whole when a worker dies before it is up, or between its last message
    and the next one to it. Returns the exit status of the last start.
    """
    idle = 0
    for _ in range(_MAX_STARTS):
        left_out = {*known, *collector.begun}
        if left_out:
            worker.leave_out(left_out)
        basetemp = worker.cells.parent / "pytest"
        code = _pytest(_arguments(settings, worker, workers, basetemp), collector)
        if code != pytest.ExitCode.INTERNAL_ERROR:
            break
        idle = 0 if collector.begun - left_out else idle + 1
        if idle == _MAX_IDLE_STARTS:
            break
    return code


def _job(settings: Settings) -> str:
    """Return the name of a run of these settings within a journal."""
    command = replace(settings, cache=None, shared_cache=None).command()
    return hashlib.sha256(command.encode()).hexdigest()[:12]


def _scenarios() -> Path:
    return catalogue().directory


def _arguments(
    settings: Settings, worker: WorkerContext, workers: int, basetemp: Path
) -> list[str]:
    arguments = [
        str(_scenarios()),
        f"--rootdir={_scenarios().parent}",
        "-p", "harness.plugin",
        "-p", "no:terminal", "-p", "no:cacheprovider",
        "-c", os.devnull,
        *settings.pytest_arguments(),
        f"--tsm-worker={worker.to_argument()}",
        f"--basetemp={basetemp}",
    ]  # fmt: skip
    if workers > 1:
        arguments += ["-p", "xdist", "--dist=worksteal", f"--max-worker-restart={_MAX_CRASHES}"]
        arguments += [f"--tx={workers}*popen//python={_worker_python()}"]
    return arguments


def _pytest(arguments: list[str], collector: Collector) -> int:
    """Run pytest without the PYTEST_* variables of the user's environment."""
    variables = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYTEST_")
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return pytest.main(arguments, plugins=[collector])
    finally:
        os.environ.update(variables)


def _worker_python() -> str:
    """Return the command that starts a worker's Python with the signals of a terminal ignored.

    Ctrl-C, SIGQUIT and the end of a terminal also reach this process, which then ends its workers.
    The plugin restores SIGINT in a worker once it can end its guests.
    """
    return f"env --ignore-signal=INT,QUIT,HUP {shlex.quote(sys.executable)}"


def _order(settings: Settings) -> Callable[[CellResult], tuple[object, ...]]:
    """Return a sort key: claims as in the catalogue, implementations as in the settings."""
    claims = {ident: position for position, ident in enumerate(catalogue().claims)}

    def key(result: CellResult) -> tuple[object, ...]:
        cell = result.cell
        tsm = settings.tsms.index(cell.tsm) if cell.tsm in settings.tsms else -1
        claim = claims.get(cell.claim, -1)
        return (claim, cell.kernel, tsm, cell.provider, cell.scenario, cell.seed)

    return key
