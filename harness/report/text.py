# SPDX-License-Identifier: MIT
"""Prints text that may come from a guest, a patch or a file of a user."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.oracle.printable import printable

__all__ = ["print_text"]

_MORE_INDENT = 2


def print_text(
    console: Console, text: str, *, style: str = "", copyable: bool = False, offset: int = 0
) -> None:
    """Print lines of text, without control characters and without interpreting markup.

    A terminal gets a long line broken between words, the rest indented. A ``copyable`` line, one
    with a word that is longer than the terminal is wide, and any line in a pipe or a file stay in
    one piece. The first line starts at the column ``offset``.
    """
    for number, line in enumerate(printable(text).splitlines() or [""]):
        used = 0 if number else offset
        indent = offset + len(line) - len(line.lstrip()) + _MORE_INDENT
        width = console.width - indent
        fits = used + len(line) <= console.width
        unbreakable = max(map(len, line.split()), default=0) > width
        if copyable or fits or unbreakable or not console.is_terminal:
            console.print(Text(line, style=style), soft_wrap=True)
            continue
        first, *rest = Text(line.strip(), style=style).wrap(console, width)
        console.print(Text(" " * (indent - offset - _MORE_INDENT)) + first, soft_wrap=True)
        for part in rest:
            console.print(Text(" " * indent) + part, soft_wrap=True)
