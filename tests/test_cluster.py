# SPDX-License-Identifier: MIT
"""Runs on several Dask workers of this machine, of which one dies or one is broken."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest
from distributed import Client

from harness.cluster.archive import pack, unpack
from harness.cluster.connection import security_of
from harness.cluster.credentials import CERTIFICATE_FILE, KEY_FILE, make_credentials
from harness.cluster.task import TaskResult
from harness.cluster.verdicts import JobVerdicts
from harness.errors import HarnessError
from harness.matrix.jobs import Job
from harness.report.formats.json_format import write
from harness.session import Session
from harness.verdict import Cell, CellResult, RunResult, Status
from tests.test_cli import Invoke, invoke

__all__ = ["Scheduler", "Worker", "credentials", "invoke", "scheduler", "until", "worker"]

JOB = Job("debian:6.12", "class-fixed", "sev-snp", ("R1", "J1"), 0)
PASS, FAIL, ERROR = Status.PASS, Status.FAIL, Status.ERROR
Worker = Callable[..., subprocess.Popen[bytes]]


@dataclass(frozen=True)
class Scheduler:
    """A scheduler; ``file`` holds its address."""

    file: Path
    credentials: Path
    process: subprocess.Popen[bytes]

    def address(self, workers: int) -> str:
        """Return the address, once the scheduler has that many workers."""
        address = str(json.loads(self.file.read_text())["address"])
        with Client(address, timeout=60, security=security_of(self.credentials)) as client:
            client.wait_for_workers(workers, timeout=120)
        return address

    def options(self, workers: int) -> list[str]:
        """Return the options of ``run`` that name the cluster, once it has that many workers."""
        named = f"--cluster-credentials={self.credentials}"
        return [f"--cluster={self.address(workers)}", named]


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """The credentials of the cluster under test."""
    make_credentials(tmp_path / "credentials")
    return tmp_path / "credentials"


def _tls(credentials: Path) -> list[str]:
    certificate, key = str(credentials / CERTIFICATE_FILE), str(credentials / KEY_FILE)
    return ["--tls-ca-file", certificate, "--tls-cert", certificate, "--tls-key", key]


@pytest.fixture
def scheduler(tmp_path: Path, credentials: Path) -> Iterator[Scheduler]:
    """Starts a scheduler."""
    file = tmp_path / "scheduler.json"
    arguments = [
        "--protocol",
        "tls",
        *_tls(credentials),
        "--port",
        "0",
        "--host",
        "127.0.0.1",
        "--no-dashboard",
        "--scheduler-file",
        str(file),
    ]
    with _process("dask_scheduler", *arguments) as process:
        until(lambda: file.exists() and file.stat().st_size > 0, "the scheduler")
        yield Scheduler(file, credentials, process)


@pytest.fixture
def worker(scheduler: Scheduler, session: Session) -> Iterator[Worker]:
    """Starts workers of one thread each."""
    with ExitStack() as stack:

        def start(name: str, **environment: str) -> subprocess.Popen[bytes]:
            arguments = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
            arguments += ["--scheduler-file", str(scheduler.file), *_tls(scheduler.credentials)]
            cache = {"TSM_HARNESS_CACHE": str(session.cache.root)}
            return stack.enter_context(_process("dask_worker", *arguments, **cache, **environment))

        yield start


class _process:  # noqa: N801 - used as a function
    """A program of Dask that ends with the test."""

    def __init__(self, program: str, *arguments: str, **environment: str) -> None:
        self._command = [sys.executable, "-m", f"distributed.cli.{program}", *arguments]
        self._environment = os.environ | environment

    def __enter__(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            self._command, env=self._environment, stderr=subprocess.DEVNULL
        )
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for ``condition``."""
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.05)


def _jobs_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return the processes of the harness below a worker."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [process for process in children if "harness" in process.cmdline()]


def _matrix(directory: Path) -> Path:
    """Six jobs, on two implementations."""
    file = directory / "matrix.toml"
    file.write_text("claims = ['R1']\ntsm = ['class-posted', 'class-fixed']\nseeds = [0, 1, 2]\n")
    return file


def test_a_worker_that_is_killed_loses_no_verdict(
    scheduler: Scheduler, worker: Worker, session: Session, tmp_path: Path
) -> None:
    victim, _ = worker("victim"), worker("survivor")
    command = [sys.executable, "-m", "harness", "run", f"--matrix={_matrix(tmp_path)}"]
    command += [*scheduler.options(2), f"--json={tmp_path / 'out.json'}"]
    command += [f"--cache={session.cache.root}", f"--history={tmp_path / 'history.db'}"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
        until(lambda: bool(_jobs_of(victim)), "a job on the victim")
        left = _jobs_of(victim)
        victim.send_signal(signal.SIGKILL)
        message = run.communicate()[1]
    assert run.returncode == 0, message
    assert _statuses(tmp_path / "out.json") == {
        ("class-posted", "FAIL"): 3,
        ("class-fixed", "PASS"): 3,
    }
    until(lambda: not any(process.is_running() for process in left), "the end of the jobs")


def test_another_worker_retries_an_error(
    scheduler: Scheduler, worker: Worker, invoke: Invoke, tmp_path: Path
) -> None:
    worker("broken", PATH="/nowhere")
    worker("sound")
    arguments = ("run", "--matrix", str(_matrix(tmp_path)), *scheduler.options(2))
    done = invoke(*arguments, "--json", "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _statuses(tmp_path / "out.json") == {
        ("class-posted", "FAIL"): 3,
        ("class-fixed", "PASS"): 3,
    }
    cells = json.loads((tmp_path / "out.json").read_bytes())["cells"]
    assert max(cell["infrastructure_retries"] for cell in cells) == 1
    kept = {Path(cell["artifacts"]) for cell in cells if cell["artifacts"]}
    assert len(kept) == 3
    assert all((directory / "verdict.json").is_file() for directory in kept)
    # Every job was decided: the second run takes them all from the cache.
    again = invoke(*arguments, "--resume", "--json", "again.json")
    assert again.returncode == 0
    assert _statuses(tmp_path / "again.json") == _statuses(tmp_path / "out.json")


def _statuses(report: Path) -> Counter[tuple[str, str]]:
    cells = json.loads(report.read_bytes())["cells"]
    return Counter((c["tsm"], c["status"]) for c in cells if c["status"] != "SKIP")


def _task(tmp_path: Path, *statuses: tuple[str, Status]) -> TaskResult:
    """Make the result that a worker sends for claims with these verdicts."""
    cells = [
        CellResult(
            Cell(claim, "s", "6.12", "class-fixed", "sev-snp"), status, PASS, 0.1, status.value
        )
        for claim, status in statuses
    ]
    write(tmp_path / "sent.json", RunResult(cells, {"cpus": 1}))
    return TaskResult((tmp_path / "sent.json").read_bytes(), pack(tmp_path / "none"), "", 0, "w")


def test_a_fail_stands_and_an_error_is_replaced(tmp_path: Path) -> None:
    merged: list[CellResult] = []
    verdicts = JobVerdicts(tmp_path, merged.append)
    verdicts.add(JOB, _task(tmp_path, ("R1", FAIL), ("J1", ERROR)), attempt=1)
    assert verdicts.undecided_claims(JOB) == ("J1",)
    verdicts.add(JOB, _task(tmp_path, ("R1", PASS), ("J1", PASS)), attempt=2)
    assert verdicts.undecided_claims(JOB) == ()
    found = {result.cell.claim: result for result in verdicts.results([JOB])}
    assert (found["R1"].status, found["R1"].infrastructure_retries) == (FAIL, 0)
    assert (found["J1"].status, found["J1"].infrastructure_retries) == (PASS, 1)
    assert [result.status for result in merged] == [FAIL, ERROR, PASS]


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"cells": [{}], "host": {}, "notes": []}'])
def test_junk_is_no_verdict(tmp_path: Path, junk: bytes) -> None:
    verdicts = JobVerdicts(tmp_path, lambda _: None)
    verdicts.add(JOB, TaskResult(junk, b"", "it crashed", 1, "w"), attempt=1)
    assert verdicts.undecided_claims(JOB) == ("R1", "J1")
    verdicts.give_up(JOB, "it crashed")
    assert [(result.status, result.detail) for result in verdicts.results([JOB])] == [
        (ERROR, "harness: it crashed")
    ] * 2


def test_a_run_report_of_another_version_is_refused_with_a_note(tmp_path: Path) -> None:
    verdicts = JobVerdicts(tmp_path, lambda _: None)
    for attempt in (1, 2):
        sent = TaskResult(b'{"schema": 1, "cells": []}', b"", "", 0, "w")
        verdicts.add(JOB, sent, attempt=attempt)
    assert verdicts.undecided_claims(JOB) == ("R1", "J1")
    assert verdicts.notes == [
        "a worker's run report cannot be read: the run report has schema 1; this harness reads "
        "schema 2"
    ]


def test_broken_evidence_loses_no_verdict(tmp_path: Path) -> None:
    verdicts = JobVerdicts(tmp_path, lambda _: None)
    sent = _task(tmp_path, ("R1", FAIL), ("J1", PASS))
    verdicts.add(JOB, replace(sent, evidence=b"PK"), attempt=1)
    assert verdicts.undecided_claims(JOB) == ()
    assert [(result.status, result.artifacts) for result in verdicts.results([JOB])] == [
        (FAIL, None),
        (PASS, None),
    ]
    assert "cannot be extracted" in verdicts.notes[0]


def test_evidence_is_extracted_below_its_directory_only(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "cell").mkdir(parents=True)
    (source / "cell" / "kernel.log").write_bytes(b"\0oops" * 1000)
    unpack(pack(source), target)
    assert (target / "cell" / "kernel.log").read_bytes() == b"\0oops" * 1000
    hostile = io.BytesIO()
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("../outside", b"x")
    with pytest.raises(HarnessError, match="invalid file name"):
        unpack(hostile.getvalue(), target)
    with zipfile.ZipFile(bomb := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(257 << 20))
    with pytest.raises(HarnessError, match="is too large"):
        unpack(bomb.getvalue(), target)
    with pytest.raises(HarnessError, match="cannot be extracted"):
        unpack(b"PK", target)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluster=tcp://127.0.0.1:1", "--cluster-unauthenticated"], "no cluster with workers"),
        (["--cluster", "here"], "not the address of a cluster"),
        (["--cluster", "tls"], "not the address of a cluster"),
        (["--cluster", "tcp://127.0.0.1:1"], "neither authenticated nor encrypted"),
        (["--cluster", "tls://127.0.0.1:1"], "no credentials for tls://127.0.0.1:1"),
        (["--cluster", "local", "--cluster-unauthenticated"], "has no effect"),
        (["--cluster", "local", "--cluster-credentials=."], "has no effect"),
        (["--cluster-credentials=."], "there is no --cluster"),
        (["--cluster=tls://h:1", "--cluster-credentials=none"], "no cluster.pem that can be read"),
        (["--resume"], "has no journal of a run"),
    ],
)
def test_no_cluster(invoke: Invoke, arguments: list[str], message: str) -> None:
    done = invoke("run", "R1", *arguments)
    assert done.returncode in (2, 125)
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
