# SPDX-License-Identifier: MIT
"""The commands, each from its own module."""

from __future__ import annotations

import click

from harness.cli import (
    bench,
    doctor,
    evidence,
    history,
    images,
    matrix,
    reference,
    replay,
    revisions,
    run,
    shell,
    sight,
)

__all__ = ["app"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsm-harness")
def app() -> None:
    """Does this kernel's TSM report interface do what its reviewers demanded?"""


for _command in (
    run.run,
    run.reproduce,
    sight.sight,
    replay.replay,
    matrix.matrix,
    history.history,
    reference.reference,
    revisions.bisect,
    revisions.series,
    shell.exec_,
    shell.shell,
    evidence.evidence,
    doctor.doctor,
    bench.bench,
    images.images,
):
    app.add_command(_command)
