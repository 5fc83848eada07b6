# SPDX-License-Identifier: MIT
"""Brings the verdicts together: one per cell, also when cells run in parallel workers."""

from __future__ import annotations

import json
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness.bundle import Bundle, Outcome, write_bundle
from harness.errors import TsmHarnessError
from harness.guest.guest import Guest
from harness.implementations.spec import parse_implementation
from harness.oracle.source_lines import SourceLines
from harness.oracle.splats import find_splats
from harness.plugin.cells import axes_of, claim_of
from harness.plugin.options import SETTINGS
from harness.plugin.prediction import expected_of
from harness.plugin.spans import spans
from harness.plugin.stash import GUEST, SESSION
from harness.plugin.verdicts import Judgement, classify, weigh
from harness.report.artifacts import Evidence, write_artifacts
from harness.session import Session
from harness.settings import Settings
from harness.verdict import Cell, CellResult, Status

__all__ = ["Collector", "transcript_of"]

_PROPERTY = "tsm-harness"
_LOCATED = re.compile(
    r"(?<![\w.$])(?P<function>[\w.$]+)\+0x\S{1,40}(?: \[[\w-]+\])? \((?P<place>[^)]+:\d+)\)"
)
_PLACES_SHOWN = 4  # of a stack; the kernel.log among the artifacts has them all
_TIMELINE_KEPT = 14  # lines shown of a result; the artifacts have them all
_STARTED = pytest.StashKey[float]()


class Collector:
    """Receives every cell's verdict in the process that shows them.

    ``on_start`` is told how many cells there are, ``on_result`` each verdict as it comes in.
    ``missed`` are the cells that were collected and never reported: a worker died under them, or
    the run was interrupted.
    """

    def __init__(
        self,
        on_result: Callable[[CellResult], None] = lambda _: None,
        on_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._on_result = on_result
        self._on_start = on_start
        self.results: dict[str, CellResult] = {}
        self.collected: list[str] = []
        self.cells: dict[str, CellResult] = {}
        self.errors: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what was collected in this process."""
        self.collected = [item.nodeid for item in session.items]
        self.cells = _cells(session)
        self._on_start(len(self.collected))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """Remember what the workers collected, which is the same for each."""
        if not self.collected:
            self.collected = list(ids)
            self._on_start(len(ids))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        """Take over what a worker knew of the cells, which is what every other knew."""
        told: dict[str, dict[str, str]] = getattr(node, "workeroutput", {})
        for nodeid, text in told.get(_PROPERTY, {}).items():
            self.cells[nodeid] = _from_json(text)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what went wrong while scenarios were collected."""
        if report.failed:
            self.errors.append(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict a phase of a cell carries."""
        for name, value in report.user_properties:
            if name == _PROPERTY and report.when != "teardown":
                self._add(report.nodeid, _from_json(str(value)))
        if report.when == "teardown" and report.failed and report.nodeid in self.results:
            broken = f"harness: clean-up failed: {report.longreprtext[-500:]}"
            result = self.results[report.nodeid]
            # What was seen was seen; only a PASS needs an end without trouble.
            status = Status.FAIL if result.status is Status.FAIL else Status.ERROR
            detail = f"{result.detail}\n{broken}" if result.detail else broken
            self._add(report.nodeid, replace(result, status=status, detail=detail))

    def _add(self, nodeid: str, result: CellResult) -> None:
        self.results[nodeid] = result
        self._on_result(result)

    @property
    def missed(self) -> list[CellResult]:
        """Cells that were collected and gave no verdict."""
        left = [nodeid for nodeid in self.collected if nodeid not in self.results]
        return [self.cells.get(nodeid) or _unknown(nodeid) for nodeid in left]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Let a worker's parent know the cells themselves, not only their names."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_PROPERTY] = {nodeid: _to_json(cell) for nodeid, cell in _cells(session).items()}


def _cells(session: pytest.Session) -> dict[str, CellResult]:
    scenarios = [item for item in session.items if item.get_closest_marker("claim")]
    return {item.nodeid: _unseen(item) for item in scenarios}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Start the cell's clock."""
    item.stash[_STARTED] = time.monotonic()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    """Turn the outcome of a cell into its verdict, and keep the evidence of a bad one."""
    decided = call.when == "call" or (call.when == "setup" and call.excinfo is not None)
    if not decided or not item.get_closest_marker("claim"):
        return None
    error = call.excinfo.value if call.excinfo else None
    setup = call.when == "setup"
    if setup:  # a guest that its fixtures had already got has something to say, too
        error = weigh(item, error)
    result = _result(item, classify(error, setup=setup))
    properties: list[tuple[str, object]] = [(_PROPERTY, _to_json(result))]
    if result.status in (Status.PASS, Status.SKIP):
        report = pytest.TestReport.from_item_and_call(item, call)
        report.user_properties += properties
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
    """What pytest shows: the verdict, where the scenario was, and what to do with it.

    The stack is shown whole only where it means something: when something broke.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{item.path.name}:{f.lineno}: {f.line}" for f in frames if f.filename == str(item.path)
    ]
    known = isinstance(error, (TsmHarnessError, AssertionError, OSError))
    stack = [] if known else traceback.format_exception(error)
    kept = [f"recorded: {result.artifacts}"] if result.artifacts else []
    lines = [f"{result.status.value}: {result.detail}", *places, *kept, f"rerun: {result.rerun}"]
    return "\n".join([*stack, *lines])


def _unseen(item: pytest.Item) -> CellResult:
    """A cell before anything is known of it."""
    axes, settings = axes_of(item), _settings_of(item)
    bench = item.config.stash[SESSION]
    cell = Cell(
        claim_of(item)[0].id,
        _scenario(item),
        bench.release(axes.kernel),
        axes.tsm,
        axes.provider,
        settings.seed,
    )
    words = "it was never run, or its worker died"
    expected = expected_of(item)
    return CellResult(cell, Status.MISS, expected, 0.0, words, settings.command())


def _settings_of(item: pytest.Item) -> Settings:
    """Return the settings of a run that has this cell alone."""
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


def _unknown(nodeid: str) -> CellResult:
    """A cell whose every worker died before it could tell what it is."""
    cell = Cell("?", nodeid.rpartition("::")[2], "?", "?", "?")
    return CellResult(cell, Status.MISS, Status.PASS, 0.0, "every worker died")


def _result(item: pytest.Item, judgement: Judgement) -> CellResult:
    settings, bench = item.config.stash[SETTINGS], item.config.stash[SESSION]
    result = replace(
        _unseen(item),
        status=judgement.status,
        duration_s=time.monotonic() - item.stash[_STARTED],
        detail=judgement.detail,
    )
    if judgement.status in (Status.FAIL, Status.ERROR):
        evidence = _evidence(item, item.stash.get(GUEST, None), bench)
        where = _where(evidence)
        if where:
            result = replace(result, detail="\n".join([result.detail, *where]))
        result = replace(result, timeline=tuple(evidence.timeline()[-_TIMELINE_KEPT:]))
        result = replace(result, artifacts=write_artifacts(settings.artifacts, result, evidence))
        if judgement.status is Status.FAIL and result.artifacts is not None:
            _bundle(item, result, result.artifacts)
        return result
    return result


def _bundle(item: pytest.Item, result: CellResult, directory: Path) -> None:
    axes, bench = axes_of(item), item.config.stash[SESSION]
    bundle = Bundle(_settings_of(item), Outcome.of(result, bench.kernel(axes.kernel).digest))
    write_bundle(directory, bundle, parse_implementation(axes.tsm).files)


def _scenario(item: pytest.Item) -> str:
    """The test function, with the parameters that are its own."""
    callspec = getattr(item, "callspec", None)
    own = [str(v) for k, v in callspec.params.items() if k != "axes"] if callspec else []
    name = getattr(item, "originalname", item.name)
    return f"{name}[{'-'.join(own)}]" if own else str(name)


def _where(evidence: Evidence) -> list[str]:
    """Where the code stands that the kernel's first complaint was about, innermost first."""
    reports = [one for one in find_splats(evidence.kernel_log) if not one.elsewhere]
    lines = evidence.source.decode(reports[0].lines) if reports else []
    found = (match for line in lines if (match := _LOCATED.search(line)))
    places = {match["function"]: match["place"] for match in found}
    known = [name for name in reports[0].blamed if name in places] if reports else []
    return [f"  {name} at {places[name]}" for name in known[:_PLACES_SHOWN]]


def _source(item: pytest.Item, bench: Session) -> SourceLines:
    axes = axes_of(item)
    try:
        return bench.source_lines(axes.kernel, axes.tsm)
    except TsmHarnessError:
        return SourceLines()


def _evidence(item: pytest.Item, guest: Guest | None, bench: Session) -> Evidence:
    versions = bench.versions()
    if guest is None:
        return Evidence(versions=versions)
    return Evidence(
        console=guest.machine.console,
        kernel_log=guest.log.records,
        transcript=transcript_of(guest),
        qemu_command=guest.machine.command,
        spans=spans(guest.calls),
        versions=versions,
        source=_source(item, bench),
    )


def transcript_of(guest: Guest) -> list[dict[str, object]]:
    """What crossed the port to each of the guest's providers, in order."""
    return [asdict(entry) for loop in guest.providers for entry in loop.transcript.items()]


def _to_json(result: CellResult) -> str:
    data = asdict(result) | {"status": result.status.value, "expected": result.expected.value}
    return json.dumps(data | {"artifacts": str(result.artifacts or "")})


def _from_json(text: str) -> CellResult:
    data: dict[str, Any] = json.loads(text)
    data["cell"] = Cell(**data["cell"])
    data["status"], data["expected"] = Status(data["status"]), Status(data["expected"])
    data["timeline"] = tuple(data["timeline"])
    data["artifacts"] = Path(data["artifacts"]) if data["artifacts"] else None
    return CellResult(**data)
