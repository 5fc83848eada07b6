# SPDX-License-Identifier: MIT
"""What is known of every job: its verdicts, and what there is to be done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.claims.catalogue import decidable_claims
from harness.cluster.archive import unpack
from harness.cluster.task import TaskResult
from harness.errors import HarnessError
from harness.matrix.jobs import Job
from harness.report.json_report import cell_from_json
from harness.verdict import Cell, CellResult, Status

__all__ = ["Board"]

_UNDECIDED = (Status.ERROR, Status.MISS)


class Board:
    """Takes what workers send; a FAIL or a PASS stands, whatever a repetition says.

    ``artifacts`` is where evidence is put, ``on_result`` is told of every verdict that stands or
    replaces one that did not.
    """

    def __init__(self, artifacts: Path, on_result: Callable[[CellResult], None]) -> None:
        self._artifacts = artifacts
        self._on_result = on_result
        self._cells: dict[Job, dict[Cell, CellResult]] = {}
        self.host: dict[str, object] = {}
        self.notes: list[str] = []

    def take(self, job: Job, result: TaskResult, *, tries: int) -> None:
        """Take in what a worker found out in its ``tries``-th try of ``job``."""
        known = self._cells.setdefault(job, {})
        for one in self._read(result):
            there = known.get(one.cell)
            if there is None or there.status in _UNDECIDED:
                known[one.cell] = replace(one, infrastructure_retries=tries - 1)
                self._on_result(known[one.cell])

    def _read(self, result: TaskResult) -> list[CellResult]:
        try:
            report = json.loads(result.report)
            cells = [cell_from_json(cell) for cell in report["cells"]]
            self.host = self.host or report["host"]
            self.notes += [note for note in report["notes"] if note not in self.notes]
        except (ValueError, LookupError, TypeError):
            return []  # its words are told if it comes to nothing
        try:
            unpack(result.evidence, self._artifacts)
        except HarnessError as error:  # costs the evidence, not the verdicts
            self.notes.append(str(error))
            return [replace(one, artifacts=None) for one in cells]
        return [replace(one, artifacts=self._here(one)) for one in cells]

    def _here(self, result: CellResult) -> Path | None:
        """Where the evidence is now."""
        return self._artifacts / result.artifacts.name if result.artifacts else None

    def left(self, job: Job) -> tuple[str, ...]:
        """The claims of ``job`` that are still undecided."""
        known = list(self._cells.get(job, {}).values())
        told = {one.cell.claim for one in known}
        undecided = {one.cell.claim for one in known if one.status in _UNDECIDED}
        return tuple(c for c in decidable_claims(job.claims) if c not in told or c in undecided)

    def give_up(self, job: Job, words: str) -> None:
        """Nobody could say anything of some claims: that is a verdict, too."""
        told = {one.cell.claim for one in self._cells.setdefault(job, {}).values()}
        for claim in self.left(job):
            if claim not in told:
                one = self._nothing(job, claim, words)
                self._cells[job][one.cell] = one
                self._on_result(one)

    @staticmethod
    def _nothing(job: Job, claim: str, words: str) -> CellResult:
        cell = Cell(claim, "?", job.kernel, job.tsm, job.provider, job.seed)
        return CellResult(cell, Status.ERROR, Status.PASS, 0.0, f"harness: {words}")

    def results(self, jobs: Sequence[Job]) -> list[CellResult]:
        """Every verdict, in the order of ``jobs``."""
        return [one for job in jobs for one in self._cells.get(job, {}).values()]
