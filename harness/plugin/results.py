# SPDX-License-Identifier: MIT
"""Turns the outcome of an item into the result of a cell, and records the evidence of a bad one."""

from __future__ import annotations

import json
import os
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bundle import Bundle, Outcome, write_bundle
from harness.errors import MissingAttributeError, NoInterfaceError, TsmHarnessError
from harness.plugin.cells import axes_of, claim_of
from harness.plugin.evidence import evidence_of, fault_places, fault_source
from harness.plugin.options import SETTINGS
from harness.plugin.prediction import design_note, expected_of, skip_without, without_interface
from harness.plugin.stash import SESSION
from harness.plugin.verdicts import Verdict, deciding_error, verdict_of
from harness.prepare import WorkerContext
from harness.report.artifacts import write_artifacts
from harness.report.output import write_atomically
from harness.report.run_json import cell_as_json
from harness.settings import Settings
from harness.verdict import Cell, CellResult, Status

__all__ = ["PROPERTY", "results_before_run"]

PROPERTY = "tsm-harness"
"""Name of the property of a pytest report that carries a result."""

_MAX_TIMELINE = 14  # lines of a result; the artifacts have them all
_STARTED = pytest.StashKey[float]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the cells of a worker into a file; xdist sends only their names to the parent."""
    worker = WorkerContext.from_argument(session.config.option.tsm_worker)
    if worker is not None and hasattr(session.config, "workerinput"):
        missed = {ident: cell_as_json(each) for ident, each in results_before_run(session).items()}
        write_atomically(worker.cells / f"{os.getpid()}.json", json.dumps(missed).encode())


def results_before_run(session: pytest.Session) -> dict[str, CellResult]:
    """Return a MISS for every scenario that was collected, by its node id."""
    scenarios = [item for item in session.items if item.get_closest_marker("claim")]
    return {item.nodeid: _missed(item) for item in scenarios}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the clock of the cell."""
    item.stash[_STARTED] = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    """Attach the result of the cell to pytest's report on the phase that decides it."""
    decides = call.when == "call" or (call.when == "setup" and call.excinfo is not None)
    if not decides or not item.get_closest_marker("claim"):
        return None
    error = call.excinfo.value if call.excinfo else None
    setup = call.when == "setup"
    if setup:  # a guest that a fixture has started may have a splat
        if isinstance(error, NoInterfaceError):
            error = without_interface(item, error)
        elif isinstance(error, MissingAttributeError):
            error = skip_without(item, error)
        error = deciding_error(item, error)
    result = _result(item, verdict_of(error, setup=setup, scenario=item.path), error)
    properties: list[tuple[str, object]] = [(PROPERTY, json.dumps(cell_as_json(result)))]
    if result.status in (Status.PASS, Status.SKIP):
        report = pytest.TestReport.from_item_and_call(item, call)
        report.user_properties += properties
        if result.status is Status.SKIP and report.failed:  # the fixture raised another error
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, result.detail)
        return report
    assert error is not None
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=_longrepr(item, error, result),
        when="call",
        duration=call.duration,
        start=call.start,
        stop=call.stop,
        user_properties=properties,
    )


def _longrepr(item: pytest.Item, error: BaseException, result: CellResult) -> str:
    """Return the text that pytest shows: the verdict, the scenario's lines, the next steps.

    The full traceback is shown only if the exception is not one that a scenario may cause.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{item.path.name}:{f.lineno}: {f.line}" for f in frames if f.filename == str(item.path)
    ]
    known = isinstance(error, (TsmHarnessError, AssertionError, OSError))
    stack = [] if known else traceback.format_exception(error)
    recorded = [f"recorded: {result.artifacts}"] if result.artifacts else []
    status = f"{result.status.value}: {result.detail}"
    return "\n".join([*stack, status, *places, *recorded, f"rerun: {result.rerun}"])


def _missed(item: pytest.Item) -> CellResult:
    """Return the result of a cell that was not run."""
    axes, settings = axes_of(item), _settings_of(item)
    cell = Cell(
        claim_of(item)[0].id,
        _scenario(item),
        item.config.stash[SESSION].label(axes.kernel),
        axes.tsm,
        axes.provider,
        settings.seed,
    )
    detail = "the scenario was not run, or its worker died"
    return CellResult(cell, Status.MISS, expected_of(item), 0.0, detail, settings.command())


def _settings_of(item: pytest.Item) -> Settings:
    """Return the settings of a run of this cell alone."""
    axes, settings = axes_of(item), item.config.stash[SETTINGS]
    return replace(
        settings,
        kernels=(axes.kernel,),
        tsms=(axes.tsm,),
        providers=(axes.provider,),
        claims=(claim_of(item)[0].id,),
        seed=settings.seed + axes.repetition,
        times=1,
    )


def _scenario(item: pytest.Item) -> str:
    """Return the name of the test function, with the scenario's own parameters."""
    callspec = getattr(item, "callspec", None)
    own = [str(v) for k, v in callspec.params.items() if k != "axes"] if callspec else []
    name = getattr(item, "originalname", item.name)
    return f"{name}[{'-'.join(own)}]" if own else str(name)


def _result(item: pytest.Item, verdict: Verdict, error: BaseException | None) -> CellResult:
    result = replace(
        _missed(item),
        status=verdict.status,
        expected=expected_of(item, verdict.status),
        duration_s=time.monotonic() - item.stash[_STARTED],
        detail=verdict.detail,
        cause=verdict.cause,
    )
    if verdict.status not in (Status.FAIL, Status.ERROR):
        return result
    evidence = evidence_of(item, error)
    failed = verdict.status is Status.FAIL
    note = design_note(item) if failed else ""
    result = replace(
        result,
        detail="\n".join([result.detail, *([note] if note else []), *fault_places(evidence)]),
        timeline=tuple(evidence.timeline()[-_MAX_TIMELINE:]),
        source=fault_source(item, evidence, verdict) if failed else None,
    )
    artifacts = item.config.stash[SETTINGS].artifacts
    result = replace(
        result, artifacts=write_artifacts(artifacts, result, evidence, axes_of(item).kernel)
    )
    if verdict.status is Status.FAIL and result.artifacts is not None:
        _write_bundle(item, result, result.artifacts)
    return result


def _write_bundle(item: pytest.Item, result: CellResult, directory: Path) -> None:
    axes = axes_of(item)
    session = item.config.stash[SESSION]
    kernel = session.kernel(axes.kernel)
    bundle = Bundle(_settings_of(item), Outcome.of(result, kernel.release, kernel.digest))
    write_bundle(directory, bundle, session.known_implementation(axes.kernel, axes.tsm).files)
