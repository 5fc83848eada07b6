# SPDX-License-Identifier: MIT
"""What a worker does with a job: run it in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.archive import pack

__all__ = ["TaskResult", "run_task"]

_LAST_WORDS = 2000  # characters


@dataclass(frozen=True)
class TaskResult:
    """The JSON report of a job (empty when there is none), its evidence, and its last words."""

    report: bytes
    evidence: bytes
    words: str
    status: int
    worker: str


def run_task(words: list[str], directory: str) -> TaskResult:
    """Run ``tsm-harness run`` with ``words``; never raises for what becomes of it.

    It is in ``directory`` if this machine has that: paths in the words may be relative. The process
    ends with its worker: nobody would take what it finds out.
    """
    with tempfile.TemporaryDirectory(prefix="tsm-harness-task-") as name:
        where = Path(name)
        report = where / "report.json"
        command = [
            "setpriv", "--pdeathsig", "TERM", "--",
            sys.executable, "-P", "-m", "harness", "run", *words,
            "-n1", f"--json={report}", f"--artifacts={where / 'artifacts'}",
            f"--history={where / 'history'}",
        ]  # fmt: skip
        try:
            status, said = _do(command, Path(directory) if Path(directory).is_dir() else where)
        except OSError as error:
            status, said = -1, str(error)
        found = report.read_bytes() if report.is_file() else b""
        return TaskResult(found, pack(where / "artifacts"), said, status, _worker())


def _do(command: list[str], where: Path) -> tuple[int, str]:
    """The exit status, and the end of what was said."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            command,
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | {"PATH": path},
            check=False,
        )
        said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST_WORDS))
        return done.returncode, said.read().decode("utf-8", "replace")


def _worker() -> str:
    """The address of the worker this is; empty when it is none."""
    from distributed import get_worker  # noqa: PLC0415 - an extra, there where there are workers

    try:
        return str(get_worker().address)
    except ValueError:
        return ""
