# SPDX-License-Identifier: MIT
"""``matrix``: prints the jobs of a matrix file, for people and for CI systems."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import click

from harness.cli import options
from harness.matrix.ci import github, gitlab
from harness.matrix.file import read_matrix
from harness.matrix.jobs import Job, jobs_of
from harness.settings import Settings

__all__ = ["matrix"]


def _commands(jobs: Sequence[Job]) -> str:
    arguments = (job.settings(Settings()).run_arguments() for job in jobs)
    return "\n".join(shlex.join(["tsm-harness", "run", *each]) for each in arguments)


_FORMATS: dict[str, Callable[[Sequence[Job]], str]] = {
    "commands": _commands,
    "github": github,
    "gitlab": gitlab,
}


@click.command()
@click.argument("file", type=options.INPUT_FILE)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(list(_FORMATS)),
    default="commands",
    show_default=True,
    help="One command line for each job, or a dynamic matrix for GitHub or GitLab.",
)
@click.option(
    "--pairwise/--whole",
    default=None,
    help="Print few jobs in which every pair of values occurs, or all; overrides the file.",
)
def matrix(file: Path, output_format: str, pairwise: bool | None) -> int:
    """Print the jobs that a matrix FILE describes.

    FILE is TOML. It has the lists `kernels`, `tsm`, `providers`, `claims` and `seeds`;
    `pairwise = true` for few jobs in which every pair of values occurs; and `[[exclude]]` for
    each combination to leave out.
    """
    described = read_matrix(file)
    if pairwise is not None:
        described = replace(described, pairwise=pairwise)
    click.echo(_FORMATS[output_format](jobs_of(described, Settings())))
    return 0
