# SPDX-License-Identifier: MIT
"""The command line: ``tsm-harness``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

import click
from rich.console import Console

from harness.cli.app import app
from harness.errors import GuestCallError, HostError, KernelFault, TsmHarnessError, UsageError
from harness.report.verdict import EXIT_NO_VERDICT, EXIT_UNEXPECTED, EXIT_USAGE

__all__ = ["main"]


def main() -> None:
    """Run the command and exit with the status ``git bisect run`` understands (0, 1, 2, 125)."""
    signal.signal(signal.SIGTERM, _terminate)
    status = _status()
    # All is said and cleaned up: an interrupt could only spoil the way out.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(status)


def _status() -> int:
    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        outcome = app(standalone_mode=False)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        errors.print("interrupted: every guest was ended")
        return EXIT_NO_VERDICT
    except BrokenPipeError:
        # Whoever read our output left; Python must not complain about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NO_VERDICT
    except TsmHarnessError as error:
        return _explain(error, errors)
    except OSError as error:
        whose = "guest" if isinstance(error, GuestCallError) else "host"
        where = f" ({error.filename})" if error.filename else ""
        errors.print(f"[bold red]error[/] ({whose}): ", end="")
        errors.print(f"{error.strerror or error}{where}", markup=False)
        return EXIT_NO_VERDICT


def _explain(error: TsmHarnessError, errors: Console) -> int:
    match error:
        case UsageError():
            whose, status = "usage", EXIT_USAGE
        case HostError():
            whose, status = "host", EXIT_NO_VERDICT
        case KernelFault():
            whose, status = "kernel", EXIT_UNEXPECTED
        case _:
            whose, status = "harness", EXIT_NO_VERDICT
    errors.print(f"[bold red]error[/] ({whose}): ", end="")
    errors.print(str(error), markup=False)
    if error.hint:
        errors.print(f"  {error.hint}", markup=False)
    return status


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
