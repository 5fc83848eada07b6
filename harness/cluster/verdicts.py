# SPDX-License-Identifier: MIT
"""The verdicts of every job, merged from the results of one or several attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.claims.catalogue import decidable_claims
from harness.cluster.archive import unpack
from harness.cluster.task import TaskResult
from harness.errors import HarnessError
from harness.matrix.jobs import Job, name_kernels
from harness.report.run_json import run_from_json
from harness.verdict import Cell, CellResult, Status

__all__ = ["JobVerdicts"]

_UNDECIDED = (Status.ERROR, Status.MISS)


class JobVerdicts:
    """Merges what workers send: a later attempt replaces an ERROR or MISS, never another verdict.

    Evidence is extracted into ``artifacts``. ``on_result`` is called with every verdict that is
    new or replaces another.
    """

    def __init__(self, artifacts: Path, on_result: Callable[[CellResult], None]) -> None:
        self._artifacts = artifacts
        self._on_result = on_result
        self._cells: dict[Job, dict[Cell, CellResult]] = {}
        self.host: dict[str, object] = {}
        self.notes: list[str] = []

    def add(self, job: Job, result: TaskResult, *, attempt: int) -> None:
        """Merge the result of an attempt at ``job``; the first attempt is 1."""
        known = self._cells.setdefault(job, {})
        for cell_result in self._read(result):
            if cell_result.cell.tsm not in (job.tsm, "?"):
                continue  # the base of a patch, which has jobs of its own
            earlier = known.get(cell_result.cell)
            if earlier is None or earlier.status in _UNDECIDED:
                merged = replace(cell_result, infrastructure_retries=attempt - 1)
                known[merged.cell] = merged
                self._on_result(merged)

    def _read(self, result: TaskResult) -> list[CellResult]:
        try:
            run = run_from_json(result.report)
        except HarnessError as error:
            note = f"a worker's run report cannot be read: {error}"
            if result.report and note not in self.notes:
                self.notes.append(note)
            return []
        self.host = self.host or dict(run.host)
        self.notes += [note for note in run.notes if note not in self.notes]
        try:
            unpack(result.evidence, self._artifacts)
        except HarnessError as error:  # the verdicts do not depend on the evidence
            self.notes.append(str(error))
            return [replace(cell, artifacts=None) for cell in run.results]
        return [replace(cell, artifacts=self._extracted(cell)) for cell in run.results]

    def _extracted(self, result: CellResult) -> Path | None:
        return self._artifacts / result.artifacts.name if result.artifacts else None

    def undecided_claims(self, job: Job) -> tuple[str, ...]:
        """Return the claims of ``job`` that have no verdict, or one of ERROR or MISS."""
        known = list(self._cells.get(job, {}).values())
        reported = {result.cell.claim for result in known}
        undecided = {result.cell.claim for result in known if result.status in _UNDECIDED}
        claims = decidable_claims(job.claims)
        return tuple(claim for claim in claims if claim not in reported or claim in undecided)

    def give_up(self, job: Job, reason: str, status: Status = Status.ERROR) -> None:
        """Record an ERROR, or ``status``, for every claim of ``job`` that no attempt reported."""
        known = self._cells.setdefault(job, {})
        reported = {result.cell.claim for result in known.values()}
        for claim in self.undecided_claims(job):
            if claim not in reported:
                cell = Cell(claim, "?", job.kernel, job.tsm, job.provider, job.seed)
                result = CellResult(cell, status, Status.PASS, 0.0, f"harness: {reason}")
                known[cell] = result
                self._on_result(result)

    def decided(self, jobs: Sequence[Job]) -> list[tuple[Job, CellResult]]:
        """Return every verdict with its job, in the order of ``jobs``."""
        return name_kernels(
            (job, result) for job in jobs for result in self._cells.get(job, {}).values()
        )

    def results(self, jobs: Sequence[Job]) -> list[CellResult]:
        """Return every verdict, in the order of ``jobs``."""
        return [result for _, result in self.decided(jobs)]
