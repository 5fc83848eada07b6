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

__all__ = ["RENAMED_COMMANDS", "RENAMED_OPTIONS", "app"]


RENAMED_COMMANDS = {"sight": "mutants"}
"""The names that commands had in earlier versions, and their present names."""
RENAMED_OPTIONS: dict[str, str] = {}
"""The same for options, with their dashes."""


class _Commands(click.Group):
    """Refuses a name from an earlier version, and names the present one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in RENAMED_COMMANDS:
            ctx.fail(f"the command {args[0]} was renamed: use {RENAMED_COMMANDS[args[0]]}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            renamed = RENAMED_OPTIONS.get(error.option_name)
            if renamed is None:
                raise
            message = f"the option {error.option_name} was renamed: use {renamed}"
            raise click.UsageError(message, ctx=error.ctx) from error


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
