# SPDX-License-Identifier: MIT
"""Runs cells through pytest and returns their results."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.claims.catalogue import catalogue
from harness.errors import HarnessError
from harness.plugin.collector import Collector
from harness.prepare import WorkerContext, prepare
from harness.progress import Progress
from harness.qemu.rundir import RunDirectory
from harness.session import Session
from harness.settings import Settings
from harness.verdict import CellResult, RunResult

__all__ = ["run_cells"]


def run_cells(
    settings: Settings,
    workers: int,
    progress: Progress,
    on_result: Callable[[CellResult], None] = lambda _: None,
    on_start: Callable[[int], None] = lambda _: None,
) -> RunResult:
    """Prepare kernels, implementations and templates; run every cell in ``workers`` processes.

    If an implementation cannot be prepared, its own cells become ERROR. Cells that a dead worker
    or an interrupt left out are MISS. Raises :class:`HarnessError` if the scenarios cannot be
    collected.
    """
    with Session(settings, progress) as session:
        prepared = prepare(session, settings)
        host = session.describe_host()
    scratch = RunDirectory()
    try:
        worker = WorkerContext(prepared.failures, scratch.subdirectory("cells"))
        collector = Collector(worker.cells, on_result, on_start)
        basetemp = scratch.path / "pytest"
        code = _pytest(_arguments(settings, worker, workers, basetemp), collector)
        results = [*collector.results.values(), *collector.missed]
    finally:
        scratch.close()
    broken = code not in (0, 1, pytest.ExitCode.INTERRUPTED)
    if collector.errors or (broken and not collector.results):
        reason = "\n".join(collector.errors) or f"pytest ended with status {code}"
        raise HarnessError(
            f"the scenarios cannot be collected:\n{reason}", hint=f"run `pytest {_scenarios()}`"
        )
    results.sort(key=_order(settings))
    return RunResult(results, host, code == pytest.ExitCode.INTERRUPTED, prepared.notes)


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
        arguments += ["-p", "xdist", "--dist=worksteal"]
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
    """Return the command that starts a worker's Python with SIGINT ignored.

    Ctrl-C also reaches this process, which then ends its workers. The plugin restores SIGINT in a
    worker once it can end its guests.
    """
    return f"env --ignore-signal=INT {shlex.quote(sys.executable)}"


def _order(settings: Settings) -> Callable[[CellResult], tuple[object, ...]]:
    """Return a sort key: claims as in the catalogue, implementations as in the settings."""
    claims = {ident: position for position, ident in enumerate(catalogue().claims)}

    def key(result: CellResult) -> tuple[object, ...]:
        cell = result.cell
        tsm = settings.tsms.index(cell.tsm) if cell.tsm in settings.tsms else -1
        claim = claims.get(cell.claim, -1)
        return (claim, cell.kernel, tsm, cell.provider, cell.scenario, cell.seed)

    return key
