# SPDX-License-Identifier: MIT
"""The command line: ``tsm-harness``."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import TextIO

import click
from rich.console import Console
from rich.text import Text

from harness.cli.app import app
from harness.errors import GuestCallError, HostError, KernelFault, TsmHarnessError, UsageError
from harness.git import bisecting
from harness.oracle.printable import printable
from harness.verdict import EXIT_NO_VERDICT, EXIT_UNEXPECTED, EXIT_USAGE
from providers_sim import ProviderError

__all__ = ["main"]


def main() -> None:
    """Run the command and exit with the status ``git bisect run`` understands (0, 1, 2, 125)."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    status = _status()
    if status == EXIT_USAGE and bisecting(Path()):
        status = EXIT_NO_VERDICT  # git would take it for the commit being bad
    # All is said and cleaned up: an interrupt could only spoil the way out.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(status)


def _nowhere() -> TextIO:
    """For output that whoever started this has closed."""
    return Path(os.devnull).open("w", encoding="utf-8")


def _status() -> int:
    try:
        outcome = app(standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted: every guest was ended")
    except (BrokenPipeError, SystemExit):
        # Whoever read our output left (click and rich exit then); Python must not complain about
        # it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # whatever it is, it is no verdict on a kernel
        return _explain(error)
    return EXIT_NO_VERDICT


def _explain(error: Exception) -> int:
    match error:
        case UsageError():
            whose, status = "usage", EXIT_USAGE
        case KernelFault():
            whose, status = "kernel", EXIT_UNEXPECTED
        case HostError():
            whose, status = "host", EXIT_NO_VERDICT
        case TsmHarnessError() | ProviderError():
            whose, status = "harness", EXIT_NO_VERDICT
        case GuestCallError():
            whose, status = "guest", EXIT_NO_VERDICT
        case OSError():
            whose, status = "host", EXIT_NO_VERDICT
        case _:
            _say("".join(traceback.format_exception(error)))
            whose, status = "harness: please report this", EXIT_NO_VERDICT
    words = str(error)
    if isinstance(error, OSError):
        words = f"{error.strerror or error}{f' ({error.filename})' if error.filename else ''}"
    _say(words, f"error ({whose}): ")
    if hint := getattr(error, "hint", ""):
        _say(hint, "  ")
    return status


def _say(words: str, mark: str = "") -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text(mark, style="bold red"), Text(printable(words)), sep="")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
