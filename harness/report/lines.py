# SPDX-License-Identifier: MIT
"""Prints lines of text that may come from a guest, a patch or a file of a user."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.oracle.printable import printable

__all__ = ["print_line"]

_MORE_INDENT = 2


def print_line(console: Console, line: str, *, style: str = "", copyable: bool = False) -> None:
    """Print one line, without its control characters and without interpreting markup.

    A terminal gets a long line broken between words, the rest indented. A ``copyable`` line, one
    with a word that is longer than the terminal is wide, and any line in a pipe or a file stay in
    one piece.
    """
    text = printable(line)
    indent = len(text) - len(text.lstrip())
    width = console.width - indent - _MORE_INDENT
    long_word = max(map(len, text.split()), default=0) > width
    if copyable or long_word or not console.is_terminal or len(text) <= console.width:
        console.print(Text(text, style=style), soft_wrap=True)
        return
    first, *rest = Text(text.strip(), style=style).wrap(console, width)
    console.print(Text(" " * indent) + first, soft_wrap=True)
    for part in rest:
        console.print(Text(" " * (indent + _MORE_INDENT)) + part, soft_wrap=True)
