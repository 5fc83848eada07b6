# SPDX-License-Identifier: MIT
"""Collects the results of all cells in the process that shows them, also from workers."""

from __future__ import annotations

import json
from collections.abc import Callable
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
    the number of cells, ``on_result`` with each result. ``missed`` are the cells without a result:
    their worker died, or the run was interrupted.
    """

    def __init__(
        self,
        directory: Path,
        on_result: Callable[[CellResult], None] = lambda _: None,
        on_start: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._directory = directory
        self._on_result = on_result
        self._on_start = on_start
        self._collected: list[str] = []
        self._cells: dict[str, CellResult] = {}
        self.results: dict[str, CellResult] = {}
        self.errors: list[str] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Remember what this process has collected."""
        self._collected = [item.nodeid for item in session.items]
        self._cells = results_before_run(session)
        self._on_start(len(self._collected))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: object, ids: list[str]) -> None:
        """Remember what the workers have collected; it is the same for each of them."""
        if not self._collected:
            self._collected = list(ids)
            self._on_start(len(ids))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the errors of the collection."""
        if report.failed:
            self.errors.append(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the result that pytest's report carries."""
        for name, value in report.user_properties:
            if name == PROPERTY and report.when != "teardown":
                self._add(report.nodeid, cell_from_json(json.loads(str(value))))
        if report.when == "teardown" and report.failed and report.nodeid in self.results:
            broken = f"harness: clean-up failed: {report.longreprtext[-_MAX_TRACEBACK:]}"
            result = self.results[report.nodeid]
            # A FAIL stands. A PASS requires that everything went well up to the end.
            status = Status.FAIL if result.status is Status.FAIL else Status.ERROR
            detail = f"{result.detail}\n{broken}" if result.detail else broken
            self._add(report.nodeid, replace(result, status=status, detail=detail))

    def _add(self, nodeid: str, result: CellResult) -> None:
        self.results[nodeid] = result
        self._on_result(result)

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
