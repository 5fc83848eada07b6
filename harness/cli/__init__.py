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
from harness.errors import KernelFault, TsmHarnessError, UsageError
from harness.report.verdict import EXIT_NO_VERDICT, EXIT_UNEXPECTED, EXIT_USAGE

__all__ = ["main"]


def main() -> None:
    """Run the command and exit with the status ``git bisect run`` understands (0, 1, 2, 125)."""
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(_status())


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
        where = f" ({error.filename})" if error.filename else ""
        errors.print(f"[bold red]error[/] (host): {error.strerror or error}{where}", markup=True)
        return EXIT_NO_VERDICT


def _explain(error: TsmHarnessError, errors: Console) -> int:
    whose, status = "harness", EXIT_NO_VERDICT
    if isinstance(error, UsageError):
        whose, status = "usage", EXIT_USAGE
    elif isinstance(error, KernelFault):
        whose, status = "kernel", EXIT_UNEXPECTED
    errors.print(f"[bold red]error[/] ({whose}): ", end="")
    errors.print(str(error), markup=False)
    if error.hint:
        errors.print(f"  {error.hint}", markup=False)
    return status


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
