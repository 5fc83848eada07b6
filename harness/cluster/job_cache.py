# SPDX-License-Identifier: MIT
"""Results of decided jobs in the cache, so that --resume need not repeat them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.cache import Cache
from harness.claims.catalogue import catalogue
from harness.cluster.task import TaskResult
from harness.errors import TsmHarnessError
from harness.identity import harness_digest
from harness.implementations.spec import parse_implementation
from harness.matrix.jobs import Job
from harness.session import Session
from harness.settings import Settings

__all__ = ["job_keys", "load_result", "store_result"]

_KIND = "job"
_LAYOUT = "1"
_REPORT, _EVIDENCE = "report.json", "evidence.zip"


def job_keys(jobs: Sequence[Job], settings: Settings, session: Session) -> dict[Job, str]:
    """Return the cache key of each job, a digest of all that its verdicts depend on.

    A job whose kernel or implementation this machine does not have gets none.
    """
    keys = {}
    for job in jobs:
        try:
            kernel = session.kernel(job.kernel).digest
            implementation = parse_implementation(job.tsm).digest
        except TsmHarnessError:
            continue
        arguments = replace(job.settings(settings), cache=None, shared_cache=None).run_arguments()
        parts = (_LAYOUT, harness_digest(catalogue().directory), kernel, implementation, arguments)
        keys[job] = hashlib.sha256(repr(parts).encode()).hexdigest()
    return keys


def load_result(cache: Cache, key: str) -> TaskResult | None:
    """Return the result stored under ``key``, or None."""
    entry = cache.get(_KIND, key)
    if entry is None:
        return None
    try:
        report, evidence = (entry / _REPORT).read_bytes(), (entry / _EVIDENCE).read_bytes()
    except OSError:
        return None
    return TaskResult(report, evidence, "", 0, "")


def store_result(cache: Cache, key: str, result: TaskResult) -> None:
    """Store a result under ``key``, unless there is one."""

    def fill(directory: Path) -> None:
        (directory / _REPORT).write_bytes(result.report)
        (directory / _EVIDENCE).write_bytes(result.evidence)

    cache.get_or_make(_KIND, key, fill)
