# SPDX-License-Identifier: MIT
"""Fetches the thread of a message id with b4, where that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import HostError, UsageError
from harness.mail.files import read_file

__all__ = ["fetch_thread", "is_message_id"]

_ID = re.compile(r"<?[A-Za-z0-9_.+=%~$!#&*?^{}|][^\s<>/'\"\\`]{0,400}@[A-Za-z0-9_.\[\]:-]{1,250}>?")
_SECONDS = 120


def is_message_id(text: str) -> bool:
    """Whether a text has the form of a message id, with or without its brackets."""
    return _ID.fullmatch(text) is not None


def fetch_thread(message_id: str) -> bytes:
    """Return the mbox of the thread that has this mail.

    ``b4 mbox`` fetches it unchanged; ``b4 am`` would choose the newest version of the series.
    Raises :class:`UsageError` when b4 is not installed, or does not find the mail.
    """
    program = shutil.which("b4")
    if program is None:
        raise UsageError(
            f"fetching the message id {message_id} needs b4, which is not installed",
            hint="install b4, or save the thread as an mbox and name that file",
        )
    with TemporaryDirectory(prefix="tsm-harness-b4-") as folder:
        command = [program, "mbox", "-o", folder, "--", message_id]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise HostError(
                f"b4 did not fetch {message_id} within {_SECONDS} s",
                hint="save the thread as an mbox and name that file",
            ) from error
        files = sorted(Path(folder).glob("*.mbx"))
        if done.returncode or not files:
            said = done.stderr.decode("utf-8", "replace").strip()[-500:]
            raise UsageError(
                f"b4 did not fetch {message_id}: {said or f'exit status {done.returncode}'}",
                hint="check the message id and the network, or save the thread as an mbox",
            )
        return read_file(files[0])
