# SPDX-License-Identifier: MIT
"""What a worker executes: a job, in a child process."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.child import run_in_child
from harness.cluster.archive import pack
from harness.qemu.rundir import RunDirectory

__all__ = ["TaskResult", "run_task"]

_MESSAGE_BYTES = 2000


@dataclass(frozen=True)
class TaskResult:
    """What came of a job.

    ``report`` is the JSON run report, empty when there is none; ``evidence`` an archive of the
    artifacts; ``message`` the end of standard error; ``worker`` the address of the worker.
    """

    report: bytes
    evidence: bytes
    message: str
    status: int
    worker: str


def run_task(arguments: Sequence[str], directory: str) -> TaskResult:
    """Run ``tsm-harness run`` with ``arguments``; does not raise for what goes wrong in it.

    It runs in ``directory`` if this machine has it, since the arguments may hold relative paths.
    Its files are removed even if this worker is killed, as soon as the job has ended too.
    """
    with contextlib.closing(RunDirectory()) as owner:
        scratch = owner.path
        report, artifacts = scratch / "report.json", scratch / "artifacts"
        outputs = [f"--json={report}", f"--artifacts={artifacts}", f"--history={scratch / 'db'}"]
        place = Path(directory) if Path(directory).is_dir() else scratch
        status, message = _run([*arguments, "-n1", *outputs], place, owner.pipe)
        document = report.read_bytes() if report.is_file() else b""
        return TaskResult(document, pack(artifacts), message, status, _worker())


def _run(arguments: list[str], directory: Path, pipe: int) -> tuple[int, str]:
    with tempfile.TemporaryFile() as stderr:
        try:
            status = run_in_child(arguments, directory, stderr=stderr, held=(pipe,))
        except OSError as error:
            return -1, str(error)
        stderr.seek(max(0, stderr.seek(0, os.SEEK_END) - _MESSAGE_BYTES))
        return status, stderr.read().decode("utf-8", "replace")


def _worker() -> str:
    """Return the address of the Dask worker that this code runs in; empty outside of one."""
    from distributed import get_worker  # noqa: PLC0415 - an optional dependency

    try:
        return str(get_worker().address)
    except ValueError:
        return ""
