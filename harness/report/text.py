# SPDX-License-Identifier: MIT
"""Prints text that may come from a guest, a patch or a file of a user."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.oracle.printable import printable

__all__ = ["print_text"]

_HANGING = 2
"""How much further the rest of a broken line is indented."""


def print_text(
    console: Console, text: str, *, style: str = "", copyable: bool = False, column: int = 0
) -> None:
    """Print lines of text, without control characters and without interpreting markup.

    A terminal gets a long line broken between words. A ``copyable`` line, one with a word that
    does not fit, and any line in a pipe or a file stay in one piece. The cursor is at ``column``.
    """
    for line in printable(text).splitlines() or [""]:
        parts = [line] if copyable or not console.is_terminal else _broken(console, line, column)
        for part in parts:
            console.print(Text(part, style=style), soft_wrap=True)
        column = 0


def _broken(console: Console, line: str, column: int) -> list[str]:
    words = line.lstrip()
    indent = len(line) - len(words)
    hanging = min(column, _HANGING) + indent + _HANGING
    longest = max(map(len, line.split()), default=0)
    if column + len(line) <= console.width or hanging + longest > console.width:
        return [line]
    first = console.width - column - indent
    head = Text(words).wrap(console, first)[0].plain.rstrip() if longest <= first else ""
    rest = Text(words[len(head) :].lstrip()).wrap(console, console.width - hanging)
    return [" " * indent + head, *(" " * hanging + part.plain.rstrip() for part in rest)]
