# SPDX-License-Identifier: MIT
"""This process's terminal while it stands in for one in a guest."""

from __future__ import annotations

import contextlib
import errno
import sys
import termios
import tty
from collections.abc import Iterator

__all__ = ["BREAK", "LEAVE", "raw_terminal"]

LEAVE = b"\x1d"
"""Ctrl-]: from a shell over ssh to the serial console, and from there back to the host."""

BREAK = b"\x1c"
"""Ctrl-\\: at the serial console a break, after which the kernel takes a key as a SysRq command."""


@contextlib.contextmanager
def raw_terminal() -> Iterator[None]:
    """Pass on every key as it is pressed; without a terminal nothing changes."""
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
            if error.args[0] != errno.EIO:  # the terminal itself is gone
                raise
