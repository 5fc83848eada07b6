# SPDX-License-Identifier: MIT
"""The terminal of this process, while it is the terminal of a shell in a guest."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import termios
import tty
from collections import deque
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["BREAK", "LEAVE", "caught_signals", "raw_terminal", "window_changes"]

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


@contextlib.contextmanager
def caught_signals(*numbers: signal.Signals, once: bool = False) -> Iterator[deque[int]]:
    """Collect signals to this process, in their order, while the context lasts.

    With ``once`` a signal that comes a second time raises :class:`KeyboardInterrupt`.
    """
    caught: deque[int] = deque()
    seen: set[int] = set()

    def catch(number: int, _: FrameType | None) -> None:
        if once and number in seen:
            raise KeyboardInterrupt
        seen.add(number)
        caught.append(number)

    saved = {number: signal.signal(number, catch) for number in numbers}
    try:
        yield caught
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def window_changes() -> Iterator[Callable[[], tuple[int, int] | None]]:
    """Yield what returns the new columns and lines of the terminal; None without a change."""
    with caught_signals(signal.SIGWINCH) as caught:

        def change() -> tuple[int, int] | None:
            if not caught:
                return None
            caught.clear()
            size = os.get_terminal_size(sys.stdin.fileno())
            return size.columns, size.lines

        yield change
