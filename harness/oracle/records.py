# SPDX-License-Identifier: MIT
r"""Kernel log records, read from ``/dev/kmsg`` or from a serial console.

A ``/dev/kmsg`` record (Documentation/ABI/testing/dev-kmsg) is
``priority,sequence,microseconds,flags[,caller=T12];text``, followed by dictionary lines that
begin with a blank. ``priority`` is ``facility * 8 + level``; bytes outside printable ASCII, and
the line feeds of a multi-line message, are written ``\xNN``.

Only the kernel's own messages have facility 0: what user space writes to ``/dev/kmsg`` gets
another one (``devkmsg_write()``, kernel/printk/printk.c). A console does not show the facility,
so it is used only if there are no records. But a kernel that prints time stamps prints them on
each line of its messages, and programs that write to the console do not.

The guest may be hostile: no input raises an exception, and sizes are limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from harness.oracle.printable import printable

__all__ = ["LogRecord", "parse_console", "parse_kmsg"]

MAX_TEXT = 8192
_MAX_NUMBER_DIGITS = 20

_USER_FACILITY = 1
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_REPLAY = "** replaying previous printk message **"
_CONSOLE_TIME = re.compile(r"(?:<(\d{1,4})>)?\[ {0,8}(\d{1,10}\.\d{6})\] ?")
_CONSOLE_CALLER = re.compile(r"\[ {0,10}([TC]\d{1,10})\] ?")


@dataclass(frozen=True)
class LogRecord:
    """One message of the kernel log.

    ``sequence`` counts from boot; on a console it is the line number. ``time_s`` is the kernel's
    clock, in seconds since boot. ``caller`` is ``T<pid>`` or ``C<cpu>`` if the kernel has
    PRINTK_CALLER, else None. ``text`` may have several lines.
    """

    sequence: int
    time_s: float
    level: int
    caller: str | None
    text: str
    facility: int = 0

    @property
    def from_kernel(self) -> bool:
        """Whether the kernel wrote the message, and not a program through ``/dev/kmsg``."""
        return self.facility == 0


def parse_kmsg(raw: bytes) -> LogRecord | None:
    """Parse what one ``read()`` of ``/dev/kmsg`` returned; None if it is not a record."""
    head, separator, rest = raw[: 2 * MAX_TEXT].partition(b";")
    fields = head.decode("ascii", "replace").split(",")
    if not separator or len(fields) < 4:
        return None
    numbers = fields[:3]
    if not all(n.isascii() and n.isdigit() and len(n) <= _MAX_NUMBER_DIGITS for n in numbers):
        return None
    priority, sequence, microseconds = (int(number) for number in numbers)
    caller = next((f[7:] for f in fields[4:8] if f.startswith("caller=")), None)
    text = rest.partition(b"\n")[0]
    return LogRecord(
        sequence=sequence,
        time_s=microseconds / 1e6,
        level=priority & 7,
        caller=caller,
        text=_unescape(text),
        facility=priority >> 3,
    )


def parse_console(data: bytes) -> Iterator[LogRecord]:
    """Parse a serial console: every line becomes a record, with or without a time stamp.

    The stamp may be anywhere in the line, because a program's output before it may lack its line
    feed. A line without a stamp has the time of the line before it; if lines before it have stamps,
    a program wrote it. The level is that of ``<n>`` if it was printed, else 4. A line that the
    kernel prints anew (``console_prepend_replay()``) counts once.
    """
    previous: LogRecord | None = None
    for record in _console_lines(data):
        if record.text != _REPLAY:
            if previous is not None:
                yield previous
            previous = record
        else:
            previous = None
    if previous is not None:
        yield previous


def _console_lines(data: bytes) -> Iterator[LogRecord]:
    time_s = 0.0
    stamped = False
    text = data.decode("utf-8", "replace").replace("\r", "\n")
    for number, line in enumerate(text.split("\n")):
        body = line[:MAX_TEXT]
        if not body.strip():
            continue
        level, caller = 4, None
        facility = _USER_FACILITY if stamped and not body.startswith("** ") else 0
        if stamp := _CONSOLE_TIME.search(body):
            stamped, facility = True, 0
            time_s = float(stamp[2])
            level = int(stamp[1]) & 7 if stamp[1] else 4
            body = body[stamp.end() :]
            if tag := _CONSOLE_CALLER.match(body):
                caller = tag[1]
                body = body[tag.end() :]
        yield LogRecord(number, time_s, level, caller, printable(body), facility)


def _unescape(text: bytes) -> str:
    if b"\\" in text:
        text = _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), text)
    return printable(text.decode("utf-8", "replace")[:MAX_TEXT])
