# SPDX-License-Identifier: MIT
"""The command line ``tsm-harness``: runs a command, and turns what it raises into a status."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import TextIO

import click

from harness.cli.app import app
from harness.cli.messages import print_error, print_note
from harness.errors import (
    GuestCallError,
    HostError,
    KernelFault,
    NotJudgedError,
    TsmHarnessError,
    UsageError,
)
from harness.git import bisecting
from harness.oracle.printable import printable
from harness.verdict import EXIT_NO_VERDICT, EXIT_UNEXPECTED, EXIT_USAGE

__all__ = ["main"]

_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TERMINALS = {4, 5, *range(136, 144)}  # majors: Documentation/admin-guide/devices.txt


def main() -> None:
    """Run a command, and exit with a status that ``git bisect run`` knows: 0, 1, 2 or 125."""
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves SIGHUP
            signal.signal(number, _interrupt)
    sys.stdout = sys.stdout or _null()
    sys.stderr = sys.stderr or _null()
    status = _run()
    if status == EXIT_USAGE and bisecting(Path()):
        status = EXIT_NO_VERDICT  # git would mark the commit as bad
    # Everything is cleaned up: another interrupt could only add a traceback.
    for number in (signal.SIGINT, *_ENDING):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(status)


def _null() -> TextIO:
    """Replace a stream that was closed when this process started."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _run() -> int:
    try:
        outcome = app(standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        print_note("interrupted; every guest was ended")
    except (BrokenPipeError, SystemExit):
        # The reader of our output is gone; click and rich exit then. Without a valid stream
        # Python would print an error when it flushes it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # no exception may look like a verdict
        return _report(error)
    return EXIT_NO_VERDICT


def _report(error: Exception) -> int:
    """Print an error, and return the exit status for it."""
    culprit, status = _classify(error)
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    print_error(culprit, text, getattr(error, "hint", ""))
    return status


def _classify(error: Exception) -> tuple[str, int]:
    """Return whose fault an error is, and the exit status for it."""
    # Imported here since it takes as long as all the other imports of this module.
    from providers_sim import ProviderError  # noqa: PLC0415

    kinds: tuple[tuple[type[Exception], str, int], ...] = (
        (UsageError, "usage", EXIT_USAGE),
        (NotJudgedError, "usage", EXIT_NO_VERDICT),
        (KernelFault, "kernel", EXIT_UNEXPECTED),
        (HostError, "host", EXIT_NO_VERDICT),
        (TsmHarnessError, "harness", EXIT_NO_VERDICT),
        (ProviderError, "harness", EXIT_NO_VERDICT),
        (GuestCallError, "guest", EXIT_NO_VERDICT),
        (OSError, "host", EXIT_NO_VERDICT),
    )
    for kind, culprit, status in kinds:
        if isinstance(error, kind):
            return culprit, status
    print(printable("".join(traceback.format_exception(error))), file=sys.stderr)
    return "harness: please report this", EXIT_NO_VERDICT


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, once: the shell of a closed terminal repeats SIGHUP."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGHUP:
        _leave_terminal()
    raise KeyboardInterrupt


def _leave_terminal() -> None:
    """Redirect the descriptors of a terminal that is gone: a write to them would fail."""
    null = os.open(os.devnull, os.O_RDWR)
    for entry in [*Path("/proc/self/fd").iterdir()]:
        with contextlib.suppress(OSError):
            status = entry.stat()
            if stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) in _TERMINALS:
                os.dup2(null, int(entry.name))
