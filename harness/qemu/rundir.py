# SPDX-License-Identifier: MIT
"""The private directory of one harness process, and the guarantee that it goes away.

Sockets, consoles and emulator logs live here. A normal exit removes the directory; when the
harness is killed outright, a reaper - one shell that waits for the end of a pipe only the
harness holds - ends the emulators that were started from this directory and removes it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

from harness.errors import HostError

__all__ = ["RunDirectory", "escaped"]

# The emulators are found by the directory's unguessable name in their arguments, where it stands
# for their console's log: others may well name a file below it. The name reaches the reaper
# through its environment so that it does not find itself. The second look catches a process that
# was between fork and exec at the first. What dies may still have made a file where others were
# being removed: then it is done again.
_REAPER = """
trap '' INT TERM HUP
cat > /dev/null
for look in 1 2; do
    for found in $(grep -lsF -- ",logfile=$TSM_HARNESS_RUN/" /proc/[0-9]*/cmdline); do
        pid=${found#/proc/}; kill -9 "${pid%/cmdline}" 2> /dev/null
    done
done
for look in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$TSM_HARNESS_DIRECTORY" 2> /dev/null && break
    sleep 0.2
done
"""


class RunDirectory:
    """A private (0700) directory that does not outlive the process that made it.

    Raises :class:`HostError` when it cannot be made (no space, no permission).
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.gettempdir(), f"tsm-harness-{secrets.token_hex(6)}")
        try:
            # First who removes it: it is not left behind, whenever this process is killed.
            self._lifeline = self._start_reaper()
            try:
                self.path.mkdir(mode=0o700)
            except OSError:
                self._release()
                raise
        except OSError as error:
            raise HostError(
                f"cannot make a run directory in {tempfile.gettempdir()}: {error.strerror}",
                hint="free some space, or set TMPDIR to a directory you can write to",
            ) from error
        self._serial = 0

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

    def _release(self) -> None:
        """Let the reaper go: it finds nothing, or less."""
        self._lifeline.close()
        self._reaper.wait()

    def subdirectory(self, stem: str) -> Path:
        """Make a fresh directory inside; ``stem`` only helps the reader of a listing."""
        self._serial += 1
        path = self.path / f"{stem}-{self._serial}"
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise HostError(
                f"cannot make {path}: {error.strerror}",
                hint="free some space, or set TMPDIR to a directory you can write to",
            ) from error
        return path

    def close(self) -> None:
        """Remove the directory now; emulators must have ended."""
        if self._lifeline.closed:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        self._release()


def escaped(path: Path) -> str:
    """A path as QEMU's option syntax takes it: a comma would begin the next option."""
    return str(path).replace(",", ",,")
