# SPDX-License-Identifier: MIT
"""Prints text that may come from a guest, a patch or a file of a user."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.oracle.printable import printable

__all__ = ["print_text"]

_MORE_INDENT = 2


def print_text(console: Console, text: str, *, style: str = "", copyable: bool = False) -> None:
    """Print lines of text, without control characters and without interpreting markup.

    A terminal gets a long line broken between words, the rest indented. A ``copyable`` line, one
    with a word that is longer than the terminal is wide, and any line in a pipe or a file stay in
    one piece.
    """
    for line in printable(text).splitlines() or [""]:
        if copyable or not console.is_terminal or not _breakable(line, console.width):
            console.print(Text(line, style=style), soft_wrap=True)
        else:
            _print_broken(console, line, style)


def _breakable(line: str, width: int) -> bool:
    indent = len(line) - len(line.lstrip())
    longest = max(map(len, line.split()), default=0)
    return len(line) > width and indent + _MORE_INDENT + longest <= width


def _print_broken(console: Console, line: str, style: str) -> None:
    indent = len(line) - len(line.lstrip())
    width = console.width - indent - _MORE_INDENT
    for number, part in enumerate(Text(line.strip(), style=style).wrap(console, width)):
        margin = " " * (indent + (_MORE_INDENT if number else 0))
        console.print(Text(margin) + part, soft_wrap=True)
