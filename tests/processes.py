# SPDX-License-Identifier: MIT
"""QEMU processes on this host, for tests that check that none is left."""

from __future__ import annotations

from pathlib import Path

import psutil

__all__ = ["qemu_command_lines"]


def qemu_command_lines(directory: Path) -> list[str]:
    """Return the command line of every QEMU that has a file in ``directory``."""
    lines = []
    for process in psutil.process_iter(["name", "cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if process.info["name"].startswith("qemu") and str(directory) in line:
            lines.append(line)
    return lines
