# SPDX-License-Identifier: MIT
"""Verdicts and the forms they are reported in; knows nothing of how a cell is run."""

from __future__ import annotations

from harness.report.artifacts import Evidence, write_artifacts
from harness.report.host import describe_host
from harness.report.json_report import write_json
from harness.report.junit import write_junit
from harness.report.table import print_report
from harness.verdict import Cell, CellResult, Status, exit_status

__all__ = [
    "Cell",
    "CellResult",
    "Evidence",
    "Status",
    "describe_host",
    "exit_status",
    "print_report",
    "write_artifacts",
    "write_json",
    "write_junit",
]
