# SPDX-License-Identifier: MIT
"""The verdicts as a reply to the mail with the patch: see :mod:`harness.report.reply`."""

from __future__ import annotations

from pathlib import Path

from harness.report.format import Format
from harness.report.output import write_atomically
from harness.report.reply import reply_lines
from harness.verdict import RunResult

__all__ = ["FORMAT", "write"]


def write(path: Path, run: RunResult) -> None:
    """Write the reply; raises :class:`HostError` if the file cannot be written."""
    write_atomically(path, "".join(f"{line}\n" for line in reply_lines(run)).encode())


FORMAT = Format("reply", "Write what a patch changed as text, to paste under its mail.", write)
