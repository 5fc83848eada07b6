# SPDX-License-Identifier: MIT
"""The command line for the guest's shell."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import UsageError

__all__ = ["GuestCommand", "signal_command"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PID_FILE = "/run/tsm-exec.pid"
_NOT_STARTED = 125


@dataclass(frozen=True)
class GuestCommand:
    """A command with its environment variables and its directory in the guest.

    Several ``arguments`` are a command and its arguments; a single one is a line for the shell.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""

    def script(self) -> str:
        """The text for the guest's shell; raises :class:`UsageError` for a bad variable name."""
        lines = [f"echo $$ > {_PID_FILE}"]
        for name, value in self.environment.items():
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"{name!r} is not the name of an environment variable",
                    hint="use letters, digits and _, and no digit first",
                )
            lines.append(f"export {name}={shlex.quote(value)}")
        if self.directory:
            lines.append(f"cd {shlex.quote(self.directory)} || exit {_NOT_STARTED}")
        several = len(self.arguments) > 1
        lines.append(f"exec {shlex.join(self.arguments)}" if several else self.arguments[0])
        return "\n".join(lines)


def signal_command(number: int) -> str:
    """The command that sends a signal to all processes of the command that runs."""
    name = signal.Signals(number).name.removeprefix("SIG")
    return f'kill -s {name} -- "-$(cat {_PID_FILE})"'
