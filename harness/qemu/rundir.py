# SPDX-License-Identifier: MIT
"""The private directory of one harness process, which is removed even if the process is killed.

It contains sockets, console logs and QEMU's output. A normal exit removes it. If the harness gets
SIGKILL, a reaper does: a shell that waits for the end of a pipe that only the harness holds open.
It kills every QEMU that was started from the directory, and removes the directory.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from harness.errors import HostError

__all__ = ["RunDirectory", "escaped"]

# The reaper finds QEMU by its argument that names the console log: other processes may have other
# arguments below the directory. The path reaches the reaper through its environment, so that its
# own command line does not match. The second pass finds a QEMU that was between fork and exec at
# the first. rm is repeated because a process that is ending may still create a file.
_REAPER = """
trap '' INT TERM HUP
cat > /dev/null
for pass in 1 2; do
    for found in $(grep -lsF -- ",logfile=$TSM_HARNESS_RUN/" /proc/[0-9]*/cmdline); do
        pid=${found#/proc/}; kill -9 "${pid%/cmdline}" 2> /dev/null
    done
done
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$TSM_HARNESS_DIRECTORY" 2> /dev/null && break
    sleep 0.2
done
"""
_HINT = "free some space, or set TMPDIR to a directory you can write to"
_REAPER_SECONDS = 2.0
_PROCESS_HINT = "the host has no memory or no processes left (ulimit -u): end some, and run again"


class RunDirectory:
    """A private (0700) directory that exists no longer than the process that made it.

    Raises :class:`HostError` when it cannot be made.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.gettempdir(), f"tsm-harness-{secrets.token_hex(6)}")
        try:
            # The reaper first: then no SIGKILL leaves the directory behind.
            self._pipe = self._start_reaper()
            try:
                self.path.mkdir(mode=0o700)
            except OSError:
                self._end_reaper()
                raise
        except OSError as error:
            raise HostError(
                f"cannot make a run directory in {tempfile.gettempdir()}: {error.strerror}",
                hint=_PROCESS_HINT if error.errno in (errno.EAGAIN, errno.ENOMEM) else _HINT,
            ) from error
        self._serial = 0

    @property
    def pipe(self) -> int:
        """The file descriptor that a process inherits to keep the directory until it ends, too."""
        return self._pipe.fileno()

    def _start_reaper(self) -> IO[bytes]:
        self._reaper = subprocess.Popen(
            ["/bin/sh", "-c", _REAPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={
                "PATH": os.defpath,
                "TSM_HARNESS_RUN": escaped(self.path),
                "TSM_HARNESS_DIRECTORY": str(self.path),
            },
            start_new_session=True,
        )
        assert self._reaper.stdin is not None
        return self._reaper.stdin

    def _end_reaper(self) -> None:
        """Close the pipe, upon which the reaper removes what is left, and wait for its end."""
        self._pipe.close()
        self._reaper.wait()

    def subdirectory(self, stem: str) -> Path:
        """Make a new directory inside; its name starts with ``stem``."""
        self._serial += 1
        path = self.path / f"{stem}-{self._serial}"
        try:
            path.mkdir(mode=0o700)
        except FileNotFoundError as error:
            raise HostError(
                f"the run directory {self.path} was removed during the run: "
                f"{self._remover()} did it",
                hint="run again, and keep it from programs that kill processes or clean TMPDIR",
            ) from error
        except OSError as error:
            raise HostError(
                f"cannot make {path}: {error.strerror}",
                hint=_HINT,
            ) from error
        return path

    def _remover(self) -> str:
        """What removed the directory: our reaper, which ends by that, or somebody else."""
        try:
            self._reaper.wait(timeout=_REAPER_SECONDS)
        except subprocess.TimeoutExpired:
            return "another program"
        return "its reaper, of which a process was killed,"

    def close(self) -> None:
        """Remove the directory; every QEMU must have ended."""
        if self._pipe.closed:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self._end_reaper()


def escaped(path: Path) -> str:
    """``path`` in QEMU's option syntax, where a single comma starts the next option."""
    return str(path).replace(",", ",,")
