# SPDX-License-Identifier: MIT
"""A group of commands whose help cuts off no line."""

from __future__ import annotations

import inspect

import click

__all__ = ["Group"]


class Group(click.Group):
    """Lists each command with its whole first sentence; click shortens it to one line."""

    def lines(self, ctx: click.Context) -> list[tuple[str, str]]:
        """Return the name and the first sentence of each command."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        return [(name, _sentence(command)) for name, command in commands if command is not None]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(self.lines(ctx))


def _sentence(command: click.Command) -> str:
    first = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    return " ".join(first.split()).partition(". ")[0].rstrip(".") + "."
