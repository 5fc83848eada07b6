# SPDX-License-Identifier: MIT
"""``matrix``: the jobs of a matrix file, for people and for continuous integration systems."""

from __future__ import annotations

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


def _lines(jobs: Sequence[Job]) -> str:
    return "\n".join(job.settings(Settings()).command() for job in jobs)


_FORMATS: dict[str, Callable[[Sequence[Job]], str]] = {
    "commands": _lines,
    "github": github,
    "gitlab": gitlab,
}


@click.command()
@click.argument("file", type=options.INPUT_FILE)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS)),
    default="commands",
    show_default=True,
    help="Commands, or a dynamic matrix.",
)
@click.option("--pairwise/--whole", default=None, help="In place of what the file says.")
def matrix(file: Path, form: str, pairwise: bool | None) -> int:
    """Print the jobs that a matrix FILE describes: a command each, or what a CI system reads.

    FILE is TOML: lists `kernels`, `tsm`, `providers`, `claims`, `seeds`; `pairwise = true` for
    few jobs in which each pair of values meets; `[[exclude]]` for combinations to leave out.
    """
    described = read_matrix(file)
    if pairwise is not None:
        described = replace(described, pairwise=pairwise)
    click.echo(_FORMATS[form](jobs_of(described, Settings())))
    return 0
