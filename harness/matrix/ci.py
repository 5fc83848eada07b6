# SPDX-License-Identifier: MIT
"""Jobs as continuous integration systems read them: a dynamic matrix of GitHub's or GitLab's."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from harness.errors import UsageError
from harness.matrix.jobs import Job
from harness.settings import Settings

__all__ = ["github", "gitlab"]

_GITHUB_JOBS = 256  # GitHub Actions: "A matrix will generate a maximum of 256 jobs per workflow"
_GITLAB_JOBS = 200  # GitLab CI/CD YAML reference, parallel:matrix: 200 permutations
_GITHUB_BYTES = 1 << 20  # GitHub Actions: outputs of a job are at most 1 MB


def github(jobs: Sequence[Job]) -> str:
    """One line of JSON for ``strategy.matrix`` by way of ``fromJSON``: ``include`` of the jobs.

    Each has ``name``, and ``arguments`` for ``tsm-harness run``. Raises :class:`UsageError` when
    GitHub would not take so many.
    """
    _check(jobs, _GITHUB_JOBS, "GitHub")
    include = [{"name": str(job), "arguments": _arguments(job)} for job in jobs]
    text = json.dumps({"include": include}, separators=(",", ":"))
    if len(text) > _GITHUB_BYTES:
        raise UsageError("the matrix is longer than GitHub takes", hint=_HINT)
    return text


def gitlab(jobs: Sequence[Job]) -> str:
    """A child pipeline for ``trigger: include: artifact``, as JSON, which is YAML.

    Each job of ``tsm-harness`` has ARGUMENTS for ``tsm-harness run``. Raises :class:`UsageError`
    when GitLab would not take so many.
    """
    _check(jobs, _GITLAB_JOBS, "GitLab")
    matrix = [{"ARGUMENTS": _arguments(job)} for job in jobs]
    job = {
        "parallel": {"matrix": matrix},
        "script": ["eval tsm-harness run $ARGUMENTS --junit junit.xml --html report.html"],
        "artifacts": {
            "when": "always",
            "paths": ["report.html", "tsm-harness-results"],
            "reports": {"junit": "junit.xml"},
        },
    }
    return json.dumps({"tsm-harness": job}, indent=1)


_HINT = "make it pairwise, exclude some, or cut the file in two"


def _check(jobs: Sequence[Job], most: int, whose: str) -> None:
    if len(jobs) > most:
        raise UsageError(f"{len(jobs)} jobs are more than the {most} {whose} takes", hint=_HINT)


def _arguments(job: Job) -> str:
    return shlex.join(job.settings(Settings()).run_arguments())
