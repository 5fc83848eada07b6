# SPDX-License-Identifier: MIT
"""The commands; each is imported when it is used, since their imports take a second together."""

from __future__ import annotations

from importlib import import_module

import click

from harness.cli.groups import Group

__all__ = ["RENAMED_COMMANDS", "RENAMED_OPTIONS", "app"]

_COMMANDS = {
    "run": ("run.run", "Decide claims on kernels and implementations."),
    "claims": ("claims.claims", "Show what is demanded, by whom, and how it is decided."),
    "reproduce": ("run.reproduce", "Run one claim many times, and count the FAILs."),
    "replay": ("replay.replay", "Repeat a FAIL that a run recorded."),
    "explore": ("explore.explore_command", "Compare an implementation with the model."),
    "mutants": ("mutants.mutants", "Check that every defect is noticed, and nothing else."),
    "bisect": ("revisions.bisect", "Find the commit that broke a claim."),
    "patch": ("patch.patch", "Show which postings a mail has, and what would be judged."),
    "series": ("revisions.series", "Show which patch makes or breaks which claim."),
    "matrix": ("matrix.matrix", "Print the jobs of a matrix file."),
    "history": ("history.history", "Show the verdicts of past runs."),
    "exec": ("shell.exec_", "Run a command in a fresh guest."),
    "shell": ("shell.shell", "Open a shell in a fresh guest."),
    "evidence": ("evidence.evidence", "Make or describe evidence, without a guest."),
    "doctor": ("doctor.doctor", "Check what this host can do, by doing it."),
    "bench": ("bench.bench", "Measure the harness, and compare with baselines."),
    "cluster": ("cluster.cluster", "Make the credentials of a cluster of machines."),
    "images": ("images.images", "List, fill, verify and prune the cache."),
    "reference": ("reference.reference", "Print the reference document."),
}
"""For each command its function, and its line in the list of commands."""

RENAMED_COMMANDS = {"sight": "mutants"}
"""The names that commands had in earlier versions, and their present names."""
RENAMED_OPTIONS: dict[str, str] = {}
"""The same for options, with their dashes."""


class _Commands(Group):
    """Imports a command when it is used; refuses a name from an earlier version."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, function = _COMMANDS[cmd_name][0].partition(".")
        command = getattr(import_module(f"harness.cli.{module}"), function)
        assert isinstance(command, click.Command)
        return command

    def lines(self, ctx: click.Context) -> list[tuple[str, str]]:
        return [(name, line) for name, (_, line) in _COMMANDS.items()]

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
