# SPDX-License-Identifier: MIT
"""The jobs of a matrix: each is one invocation of ``run``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, product

from harness.claims.catalogue import decidable_claims
from harness.errors import UsageError
from harness.matrix.file import AXES, Matrix
from harness.settings import Settings

__all__ = ["Job", "jobs_of", "jobs_of_settings"]

_CLAIMS_A_JOB = 8
"""Enough to make up for starting a process, few enough to keep several machines busy."""


@dataclass(frozen=True)
class Job:
    """Claims (all without any) on one kernel, core, provider, from one seed."""

    kernel: str
    tsm: str
    provider: str
    claims: tuple[str, ...]
    seed: int

    def settings(self, base: Settings) -> Settings:
        """``base`` with what the job says."""
        return replace(
            base,
            kernels=(self.kernel,),
            tsms=(self.tsm,),
            providers=(self.provider,),
            claims=self.claims,
            seed=self.seed,
        )

    def __str__(self) -> str:
        words = [self.kernel, self.tsm, self.provider, ",".join(self.claims) or "all claims"]
        return " / ".join([*words, f"seed {self.seed}"] if self.seed else words)


def jobs_of(matrix: Matrix, base: Settings) -> list[Job]:
    """The jobs, in the file's order; raises :class:`UsageError` when one means nothing.

    A pairwise matrix has every pair of values of two axes that ``exclude`` leaves in some job.
    """
    rows = product(*(matrix.axes[name] for name in AXES))
    jobs = [Job(*row) for row in rows if not _excluded(matrix, row)]  # type: ignore[arg-type]
    if not jobs:
        raise UsageError("the matrix has no job: everything is excluded")
    if matrix.pairwise:
        jobs = _pairwise(jobs)
    for job in jobs:
        job.settings(base).check()
    return jobs


def jobs_of_settings(settings: Settings) -> list[Job]:
    """What ``settings`` ask for, cut into jobs of a few claims."""
    claims = decidable_claims(settings.claims)
    starts = range(0, len(claims), _CLAIMS_A_JOB)
    parts = [claims[start : start + _CLAIMS_A_JOB] for start in starts]
    rows = product(settings.kernels, settings.tsms, settings.providers, parts)
    return [Job(*row, settings.seed) for row in rows]


def _pairwise(jobs: list[Job]) -> list[Job]:
    """Few of the jobs, in which all pairs are; the next is always one with most new pairs.

    Chosen from the jobs that may be, so that what is excluded takes no pair with it: a search that
    fills rows value by value, and drops those that are excluded, loses pairs that others have.
    """
    pairs = {job: _pairs_of(job) for job in jobs}
    missing = set().union(*pairs.values())
    chosen = []
    while missing:
        best = max(jobs, key=lambda job: len(pairs[job] & missing))
        chosen.append(best)
        missing -= pairs[best]
    return [job for job in jobs if job in chosen]


def _pairs_of(job: Job) -> frozenset[tuple[tuple[str, object], ...]]:
    return frozenset(combinations([(name, getattr(job, name)) for name in AXES], 2))


def _excluded(matrix: Matrix, row: tuple[object, ...]) -> bool:
    values = dict(zip(AXES, row, strict=True))
    return any(all(values[n] == v for n, v in entry.items()) for entry in matrix.exclude)
