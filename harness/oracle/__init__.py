# SPDX-License-Identifier: MIT
"""What decides: the kernel log and the bytes that were read.

``kernel_log`` holds one guest's log and judges it, ``kernel_reports`` recognises the kernel's
reports in it (``patterns`` is the table, ``records`` the parser), ``content`` compares what was
read with what the provider issued. None of them knows how a guest is run.
"""

from __future__ import annotations

from harness.detectors import SplatKind
from harness.oracle.content import (
    ContentViolation,
    Issued,
    Options,
    OptionWrite,
    ReportRead,
    Violation,
    check_content,
)
from harness.oracle.kernel_log import Expectation, KernelLog
from harness.oracle.records import LogRecord, parse_console, parse_kmsg, parse_kmsg_stream
from harness.oracle.splats import Splat, find_splats

__all__ = [
    "ContentViolation",
    "Expectation",
    "Issued",
    "KernelLog",
    "LogRecord",
    "OptionWrite",
    "Options",
    "ReportRead",
    "Splat",
    "SplatKind",
    "Violation",
    "check_content",
    "find_splats",
    "parse_console",
    "parse_kmsg",
    "parse_kmsg_stream",
]
