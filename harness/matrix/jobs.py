# SPDX-License-Identifier: MIT
"""The jobs of a matrix; each is one ``tsm-harness run``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, product

from harness.claims.catalogue import decidable_claims
from harness.errors import UsageError
from harness.matrix.file import AXES, Matrix
from harness.settings import Settings
from harness.verdict import CellResult

__all__ = ["Job", "jobs_of", "jobs_of_settings", "name_kernels"]

_CLAIMS_PER_JOB = 8
"""Enough to outweigh the start of a process, few enough to keep several machines busy."""


@dataclass(frozen=True)
class Job:
    """Claims (all, if empty) to decide on one kernel, implementation and provider."""

    kernel: str
    tsm: str
    provider: str
    claims: tuple[str, ...]
    seed: int

    def settings(self, base: Settings) -> Settings:
        """Return ``base`` with the values of the job."""
        return replace(
            base,
            kernels=(self.kernel,),
            tsms=(self.tsm,),
            providers=(self.provider,),
            claims=self.claims,
            seed=self.seed,
        )

    def __str__(self) -> str:
        parts = [self.kernel, self.tsm, self.provider, ",".join(self.claims) or "all claims"]
        return " / ".join([*parts, f"seed {self.seed}"] if self.seed else parts)


def jobs_of(matrix: Matrix, base: Settings) -> list[Job]:
    """Return the jobs in the order of the file; raises :class:`UsageError` for an invalid value.

    Those of a pairwise matrix contain every pair of values that its other jobs contain.
    """
    rows = product(*(matrix.axes[name] for name in AXES))
    jobs = [Job(*row) for row in rows if not _excluded(matrix, row)]  # type: ignore[arg-type]
    if not jobs:
        raise UsageError("the matrix has no job: every one is excluded", hint="exclude fewer")
    if matrix.pairwise:
        jobs = _pairwise(jobs)
    for job in jobs:
        job.settings(base).check()
    return jobs


def jobs_of_settings(settings: Settings) -> list[Job]:
    """Split a run into jobs of a few claims each."""
    rows = product(settings.kernels, settings.tsms, settings.providers)
    return [
        Job(kernel, tsm, provider, part, settings.seed)
        for kernel, tsm, provider in rows
        for part in _parts(settings, tsm)
    ]


def name_kernels(decided: Iterable[tuple[Job, CellResult]]) -> list[tuple[Job, CellResult]]:
    """Return the results of several jobs, each kernel with a name of its own.

    A job does not know the kernels of the others: where two have the same release, the name of
    the kernel in the job is added, as :meth:`harness.session.Session.label` does within a run.
    """
    pairs = list(decided)
    kernels: dict[str, set[str]] = {}
    for job, result in pairs:
        kernels.setdefault(result.cell.kernel, set()).add(job.kernel)
    return [
        (job, result if len(kernels[result.cell.kernel]) == 1 else _with_kernel(result, job.kernel))
        for job, result in pairs
    ]


def _with_kernel(result: CellResult, kernel: str) -> CellResult:
    cell = replace(result.cell, kernel=f"{result.cell.kernel} ({kernel})")
    return replace(result, cell=cell)


def _parts(settings: Settings, tsm: str) -> list[tuple[str, ...]]:
    """Return the claims of each job on one implementation."""
    known = decidable_claims(settings.claims)
    claims = tuple(claim for claim in known if settings.selects(claim, tsm))
    starts = range(0, len(claims), _CLAIMS_PER_JOB)
    return [claims[start : start + _CLAIMS_PER_JOB] for start in starts]


def _pairwise(jobs: list[Job]) -> list[Job]:
    """Select jobs greedily: the next is the one with the most pairs that are still missing.

    It selects among the jobs that are not excluded. An algorithm that builds rows value by value
    and drops the excluded ones afterwards would lose pairs that other jobs contain.
    """
    pairs = {job: _pairs_of(job) for job in jobs}
    missing = set().union(*pairs.values())
    selected = []
    while missing:
        best = max(jobs, key=lambda job: len(pairs[job] & missing))
        selected.append(best)
        missing -= pairs[best]
    return [job for job in jobs if job in selected]


def _pairs_of(job: Job) -> frozenset[tuple[tuple[str, object], ...]]:
    return frozenset(combinations([(name, getattr(job, name)) for name in AXES], 2))


def _excluded(matrix: Matrix, row: tuple[object, ...]) -> bool:
    values = dict(zip(AXES, row, strict=True))
    return any(
        all(values[name] == value for name, value in entry.items()) for entry in matrix.exclude
    )
