# SPDX-License-Identifier: MIT
"""What jobs found out, kept by all that it depends on, so that no job need be done twice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.cache import Cache
from harness.cluster.task import TaskResult
from harness.errors import TsmHarnessError
from harness.identity import harness_digest
from harness.implementations.spec import parse_implementation
from harness.matrix.jobs import Job
from harness.session import Session
from harness.settings import Settings

__all__ = ["job_keys", "load", "store"]

_KIND = "job"
_LAYOUT = "1"
_REPORT, _EVIDENCE = "report.json", "evidence.zip"


def job_keys(jobs: Sequence[Job], settings: Settings, bench: Session) -> dict[Job, str]:
    """The key of each job whose kernel and implementation are available on this host."""
    keys = {}
    for job in jobs:
        try:
            kernel = bench.kernel(job.kernel).digest
            implementation = parse_implementation(job.tsm).digest
        except TsmHarnessError:
            continue
        same = replace(job.settings(settings), cache=None)
        words = (_LAYOUT, harness_digest(), kernel, implementation, same.run_arguments())
        keys[job] = hashlib.sha256(repr(words).encode()).hexdigest()
    return keys


def load(cache: Cache, key: str) -> TaskResult | None:
    """What was found out under ``key``, if anything was."""
    if not cache.has(_KIND, key):
        return None
    entry = cache.root / _KIND / key
    try:
        report, evidence = (entry / _REPORT).read_bytes(), (entry / _EVIDENCE).read_bytes()
    except OSError:
        return None
    return TaskResult(report, evidence, "", 0, "")


def store(cache: Cache, key: str, result: TaskResult) -> None:
    """Keep what was found out; what is there already was found out by the same job."""

    def fill(directory: Path) -> None:
        (directory / _REPORT).write_bytes(result.report)
        (directory / _EVIDENCE).write_bytes(result.evidence)

    cache.get_or_make(_KIND, key, fill)
