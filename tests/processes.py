# SPDX-License-Identifier: MIT
"""Runs of the harness in processes of their own, and the processes that they start."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

import psutil

__all__ = ["Run", "qemu_command_lines"]

_SECONDS = 60.0


def qemu_command_lines(directory: Path) -> list[str]:
    """Return the command line of every QEMU that has a file in ``directory``."""
    lines = []
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["name"].startswith("qemu") and str(directory) in line:
            lines.append(line)
    return lines


class Run:
    """A ``tsm-harness`` process that writes below one directory only.

    With ``terminal`` it shows its progress live, as on a terminal of 200 columns.
    """

    def __init__(
        self, root: Path, cache: Path, *arguments: str, workers: int = 2, terminal: bool = False
    ) -> None:
        self.temporary = root / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.output = root / "output"
        # A test that runs in the background of a shell inherits ignored signals.
        command = ["env", "--default-signal=INT,QUIT,HUP,TERM"]
        command += [sys.executable, "-m", "harness", *arguments, "-n", str(workers)]
        command += ["--cache", str(cache), "--artifacts", str(root / "artifacts")]
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        if terminal:
            environment |= {"TERM": "xterm", "COLUMNS": "200", "LINES": "50"}
        with _terminal(self.output) if terminal else self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def guests(self) -> list[str]:
        """The command line of every QEMU of this run."""
        return qemu_command_lines(self.temporary)

    def descendants(self) -> list[psutil.Process]:
        """Every descendant process."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """The worker processes."""
        return [child for child in self.descendants() if _reads_its_program(child)]

    def wait(self) -> int:
        """Wait for the end of the run; return its exit status."""
        return self.process.wait(_SECONDS)

    def text(self) -> str:
        """Its output up to now, both streams."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def is_cleaned_up(self) -> bool:
        """Whether no QEMU and no run directory of it is left."""
        return not self.guests() and not list(self.temporary.glob("tsm-harness-*"))


def _terminal(output: Path) -> IO[bytes]:
    """Return the slave of a new terminal; a thread copies what is written to it to a file."""
    master, slave = pty.openpty()

    def copy() -> None:
        # Reading fails with EIO when the last process has closed the terminal.
        with output.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while data := os.read(master, 65536):
                file.write(data)
        os.close(master)

    output.touch()
    threading.Thread(target=copy, daemon=True).start()
    return os.fdopen(slave, "wb", buffering=0)


def _reads_its_program(process: psutil.Process) -> bool:
    """Whether this is a Python that pytest-xdist has started as a worker."""
    try:
        return "sys.stdin.readline" in " ".join(process.cmdline())
    except psutil.Error:
        return False
