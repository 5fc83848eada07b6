# SPDX-License-Identifier: MIT
"""Runs cells through pytest and brings back their verdicts."""

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
from harness.plugin.results import Collector
from harness.progress import Progress
from harness.qemu.rundir import RunDirectory
from harness.session import Prepared, Session
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
    """Prepare kernels, cores and templates, then run every cell in ``workers`` processes.

    A core that cannot be prepared costs its own cells, which become ERROR, and no others; cells
    that a broken worker or an interrupt left out are MISS. Raises :class:`HarnessError` when the
    scenarios themselves cannot be collected.
    """
    with Session(settings, progress) as bench:
        prepared = bench.prepare()
        host = bench.describe_host()
    collector = Collector(on_result, on_start)
    scratch = RunDirectory()
    try:
        code = _pytest(_arguments(settings, prepared, workers, scratch.path / "pytest"), collector)
    finally:
        scratch.close()
    broken = code not in (0, 1, pytest.ExitCode.INTERRUPTED)
    if collector.errors or (broken and not collector.results):
        words = "\n".join(collector.errors) or "pytest broke; run `pytest scenarios` to see how"
        raise HarnessError(f"the scenarios cannot be run:\n{words}")
    results = sorted([*collector.results.values(), *collector.missed], key=_reading_order(settings))
    return RunResult(results, host, code == pytest.ExitCode.INTERRUPTED, prepared.notes)


def _arguments(settings: Settings, prepared: Prepared, workers: int, scratch: Path) -> list[str]:
    directory = catalogue().directory
    arguments = [
        str(directory),
        f"--rootdir={directory.parent}",
        "-p", "harness.plugin",
        "-p", "no:terminal", "-p", "no:cacheprovider",
        "-c", os.devnull,
        *settings.pytest_arguments(),
        f"--tsm-prepared={prepared.to_json()}",
        f"--basetemp={scratch}",
    ]  # fmt: skip
    if workers > 1:
        arguments += ["-p", "xdist", "--dist=worksteal"]
        arguments += [f"--tx={workers}*popen//python={_worker_python()}"]
    return arguments


def _pytest(arguments: list[str], collector: Collector) -> int:
    """Run pytest, deaf to what the user's environment tells it for runs of their own."""
    foreign = {
        name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PYTEST_")
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return pytest.main(arguments, plugins=[collector])
    finally:
        os.environ.update(foreign)


def _worker_python() -> str:
    """How a worker's Python is started: deaf to Ctrl-C until it can end cleanly.

    The plugin makes it listen; until then the parent, which hears it as well, ends the worker.
    """
    return f"env --ignore-signal=INT {shlex.quote(sys.executable)}"


def _reading_order(settings: Settings) -> Callable[[CellResult], tuple[object, ...]]:
    """Claims as the catalogue has them, cores and providers as they were asked for."""
    claims = {claim: place for place, claim in enumerate(catalogue().claims)}

    def order(result: CellResult) -> tuple[object, ...]:
        cell = result.cell
        core = settings.tsms.index(cell.tsm) if cell.tsm in settings.tsms else -1
        return (
            claims.get(cell.claim, -1),
            cell.kernel,
            core,
            cell.provider,
            cell.scenario,
            cell.seed,
        )

    return order
