# SPDX-License-Identifier: MIT
"""Collects the results of all cells in the process that shows them, also from workers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.plugin.results import PROPERTY, results_before_run
from harness.report.run_json import cell_from_json
from harness.verdict import Cell, CellResult, Status

__all__ = ["Collector"]

_MAX_TRACEBACK = 500  # characters


class Collector:
    """A plugin that takes each result as it comes in.

    Workers write the cells that they have collected into ``directory``. ``on_start`` is called with
    the number of cells, ``on_result`` with the node id and the result of each cell that has ended:
    a FAIL at once, anything else after its clean-up. ``missed`` are the cells without a result:
    their worker died, or the run was interrupted. ``begun`` are the node ids of the cells that a
    worker has started. A collector may serve several runs of pytest, one after the other.
    """

    def __init__(
        self,
        directory: Path,
        on_result: Callable[[str, CellResult], None] = lambda *_: None,
        on_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._on_result = on_result
        self._on_start = on_start
        self._started = False
        self._collected: list[str] = []
        self._cells: dict[str, CellResult] = {}
        self._cleaning: dict[str, CellResult] = {}
        self.results: dict[str, CellResult] = {}
        self.begun: set[str] = set()
        self.errors: list[str] = []
        self.broken = ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what this process has collected."""
        self._collect([item.nodeid for item in session.items])
        self._cells = results_before_run(session) | self._cells

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """Remember what the workers have collected; it is the same for each of them."""
        self._collect(ids)

    def _collect(self, nodes: Sequence[str]) -> None:
        if not self._started:
            self._started = True
            self._collected = list(nodes)
            self._on_start(len(nodes))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the errors of the collection."""
        if report.failed:
            self.errors.append(report.longreprtext)

    def pytest_internalerror(self, excrepr: object) -> bool:
        """Keep why pytest itself failed, instead of printing it."""
        self.broken = str(excrepr).strip().splitlines()[-1]
        return True

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Remember that the cell was started."""
        self.begun.add(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the result that pytest's report carries."""
        node = report.nodeid
        for name, value in report.user_properties:
            if name == PROPERTY and report.when != "teardown":
                self._cleaning[node] = cell_from_json(json.loads(str(value)))
        result = self._cleaning.get(node)
        if result is None:
            return
        if report.when == "teardown" and report.failed:
            broken = f"harness: clean-up failed: {report.longreprtext[-_MAX_TRACEBACK:]}"
            # A FAIL stands. A PASS requires that everything went well up to the end.
            status = Status.FAIL if result.status is Status.FAIL else Status.ERROR
            detail = f"{result.detail}\n{broken}" if result.detail else broken
            result = replace(result, status=status, detail=detail)
        if report.when == "teardown" or result.status is Status.FAIL:
            self.results[node] = result
            self._on_result(node, result)
        if report.when == "teardown":
            del self._cleaning[node]

    @property
    def missed(self) -> list[CellResult]:
        """A MISS for each cell that was collected and has no result."""
        left = [nodeid for nodeid in self._collected if nodeid not in self.results]
        cells = self._cells or (self._cells_of_workers() if left else {})
        return [cells.get(nodeid) or _unknown(nodeid) for nodeid in left]

    def _cells_of_workers(self) -> dict[str, CellResult]:
        """Read the files of all workers; an interrupted worker has written a part of its cells."""
        files = (json.loads(path.read_bytes()) for path in self._directory.glob("*.json"))
        return {nodeid: cell_from_json(cell) for cells in files for nodeid, cell in cells.items()}


def _unknown(nodeid: str) -> CellResult:
    """Return a MISS for a cell of which no worker sent more than the name."""
    cell = Cell("?", nodeid.rpartition("::")[2], "?", "?", "?")
    return CellResult(cell, Status.MISS, Status.PASS, 0.0, "every worker died")
