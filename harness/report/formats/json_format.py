# SPDX-License-Identifier: MIT
"""The run report as JSON: see :mod:`harness.report.run_json`."""

from __future__ import annotations

import json
from pathlib import Path

from harness.report.format import Format
from harness.report.output import write_atomically
from harness.report.run_json import run_as_json
from harness.verdict import RunResult

__all__ = ["FORMAT", "write"]


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    write_atomically(path, (json.dumps(run_as_json(run), indent=1) + "\n").encode("ascii"))


FORMAT = Format("json", "Write the verdicts as JSON.", write)
