# SPDX-License-Identifier: MIT
"""Finds what a run has left behind: processes, files in its TMPDIR, sockets."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

__all__ = ["leftovers", "processes_of"]


def processes_of(root: Path) -> list[psutil.Process]:
    """Return the processes that name the directory ``root`` in an argument or the environment.

    Every process of a run does: its TMPDIR is below ``root``, and the environment is inherited;
    programs that get another one have ``root`` in an argument.
    """
    own = os.getpid()
    return [each for each in psutil.process_iter() if each.pid != own and _names(each, f"{root}/")]


def _names(process: psutil.Process, text: str) -> bool:
    with contextlib.suppress(psutil.Error):
        if process.status() != psutil.STATUS_ZOMBIE:
            return any(text in each for each in (*process.cmdline(), *process.environ().values()))
    return False


def leftovers(root: Path) -> list[str]:
    """Describe each process, each file in the directory ``tmp``, and each socket below ``root``."""
    found = []
    for process in processes_of(root):
        with contextlib.suppress(psutil.Error):
            found.append(f"process {process.pid}: {' '.join(process.cmdline())[:200]}")
    found += [f"file {path.relative_to(root)}" for path in sorted((root / "tmp").glob("*"))]
    found += [f"socket {path.relative_to(root)}" for path in root.rglob("*") if path.is_socket()]
    listening = Path("/proc/net/unix").read_text().splitlines()
    found += [f"socket in use {line}" for line in listening if f"{root}/" in line]
    return found
