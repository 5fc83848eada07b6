# SPDX-License-Identifier: MIT
"""The terminal of this process, while it is the terminal of a shell in a guest."""

from __future__ import annotations

import contextlib
import errno
import sys
import termios
import tty
from collections.abc import Iterator

__all__ = ["BREAK", "LEAVE", "raw_terminal"]

LEAVE = b"\x1d"
"""Ctrl-]: leaves the ssh shell for the serial console, and the console for the host."""

BREAK = b"\x1c"
"""Ctrl-\\: sends a break to the console; the kernel takes the next key as a SysRq command."""


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Put the terminal into raw mode; does nothing if standard input is not a terminal."""
    if not sys.stdin.isatty():
        yield
        return
    saved = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        try:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
        except termios.error as error:
            if error.args[0] != errno.EIO:  # EIO: the terminal has gone
                raise
