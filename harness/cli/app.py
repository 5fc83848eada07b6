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
    mutants,
    reference,
    replay,
    revisions,
    run,
    shell,
)

__all__ = ["app"]


_RENAMED = {"sight": "mutants"}


class _Commands(click.Group):
    """Refuses the name that a command had in an earlier version, and gives the new one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in _RENAMED:
            ctx.fail(f"the command {args[0]} was renamed: use {_RENAMED[args[0]]}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsm-harness")
def app() -> None:
    """Does this kernel's TSM report interface do what its reviewers demanded?"""


for _command in (
    run.run,
    run.reproduce,
    mutants.mutants,
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
