# SPDX-License-Identifier: MIT
"""Formats jobs for continuous integration systems: dynamic matrices of GitHub and GitLab."""

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
_HINT = "make the matrix pairwise, exclude combinations, or split the file"


def github(jobs: Sequence[Job]) -> str:
    """Return one line of JSON for ``strategy.matrix``, to be read with ``fromJSON``.

    Each entry of its ``include`` has a ``name``, and the ``arguments`` of ``tsm-harness run``.
    Raises :class:`UsageError` for a matrix beyond the limits of GitHub.
    """
    _check_count(jobs, _GITHUB_JOBS, "GitHub")
    include = [{"name": str(job), "arguments": _arguments(job)} for job in jobs]
    text = json.dumps({"include": include}, separators=(",", ":"))
    if len(text) > _GITHUB_BYTES:
        raise UsageError(
            f"the matrix has {len(text)} bytes; GitHub accepts {_GITHUB_BYTES}", hint=_HINT
        )
    return text


def gitlab(jobs: Sequence[Job]) -> str:
    """Return a child pipeline for ``trigger: include: artifact``, as JSON, which is also YAML.

    Each job of ``tsm-harness`` gets the arguments of ``tsm-harness run`` in ARGUMENTS. Raises
    :class:`UsageError` for a matrix beyond the limits of GitLab.
    """
    _check_count(jobs, _GITLAB_JOBS, "GitLab")
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


def _check_count(jobs: Sequence[Job], limit: int, system: str) -> None:
    if len(jobs) > limit:
        raise UsageError(f"the matrix has {len(jobs)} jobs; {system} accepts {limit}", hint=_HINT)


def _arguments(job: Job) -> str:
    return shlex.join(job.settings(Settings()).run_arguments())
