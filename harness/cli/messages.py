# SPDX-License-Identifier: MIT
"""Messages on standard error, apart from the output of a command."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from harness.report.text import print_text

__all__ = ["print_error", "print_note"]


def print_note(text: str) -> None:
    """Print a message that is no error."""
    print_text(Console(stderr=True, highlight=False), f"tsm-harness: {text}")


def print_error(culprit: str, text: str, hint: str = "") -> None:
    """Print what went wrong, whose fault it is, and what to do."""
    console = Console(stderr=True, highlight=False)
    prefix = f"error ({culprit}): "
    console.print(Text(prefix, style="bold red"), end="")
    print_text(console, text, column=len(prefix))
    if hint:
        print_text(console, f"  {hint}")
