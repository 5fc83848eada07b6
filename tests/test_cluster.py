# SPDX-License-Identifier: MIT
"""Runs on several workers of this machine: one dies, one is broken, and no verdict is lost."""

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
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from distributed import Client

from harness.cluster.archive import pack, unpack
from harness.cluster.task import TaskResult
from harness.cluster.verdicts import Board
from harness.errors import HarnessError
from harness.matrix.jobs import Job
from harness.report.json_report import write_json
from harness.session import Session
from harness.verdict import Cell, CellResult, Status
from tests.test_cli import Invoke, invoke

__all__ = ["invoke"]  # the fixture

JOB = Job("debian:6.12", "class-fixed", "sev-snp", ("R1", "J1"), 0)
PASS, FAIL, ERROR = Status.PASS, Status.FAIL, Status.ERROR
Worker = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Path]:
    """A scheduler, by the file that tells its address."""
    file = tmp_path / "scheduler.json"
    words = ["--port", "0", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    with _process("dask_scheduler", *words):
        until(lambda: file.exists() and file.stat().st_size > 0, "the scheduler")
        yield file


@pytest.fixture
def worker(scheduler: Path, session: Session) -> Iterator[Worker]:
    """Starts workers of one thread each."""
    with ExitStack() as stack:

        def start(name: str, **environment: str) -> subprocess.Popen[bytes]:
            words = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name]
            words += ["--scheduler-file", str(scheduler)]
            cache = {"TSM_HARNESS_CACHE": str(session.cache.root)}
            return stack.enter_context(_process("dask_worker", *words, **cache, **environment))

        yield start


class _process:  # noqa: N801 - used as a function
    """A program of Dask's that ends with the test."""

    def __init__(self, program: str, *words: str, **environment: str) -> None:
        self._command = [sys.executable, "-m", f"distributed.cli.{program}", *words]
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
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.05)


def _jobs_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The harness's processes below a worker."""
    children = psutil.Process(process.pid).children(recursive=True)
    return [one for one in children if "harness" in one.cmdline()]


def _matrix(directory: Path) -> Path:
    """Six jobs on two cores."""
    file = directory / "matrix.toml"
    file.write_text("claims = ['R1']\ntsm = ['class-posted', 'class-fixed']\nseeds = [0, 1, 2]\n")
    return file


def test_a_worker_killed_in_the_middle_costs_nothing(
    scheduler: Path, worker: Worker, session: Session, tmp_path: Path
) -> None:
    victim, _ = worker("victim"), worker("survivor")
    command = [sys.executable, "-m", "harness", "run", f"--matrix={_matrix(tmp_path)}"]
    command += [f"--cluster={_address(scheduler, 2)}", f"--json={tmp_path / 'out.json'}"]
    command += [f"--cache={session.cache.root}", f"--history={tmp_path / 'history.db'}"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
        until(lambda: bool(_jobs_of(victim)), "a job of the victim's")
        left = _jobs_of(victim)
        victim.send_signal(signal.SIGKILL)
        said = run.communicate()[1]
    assert run.returncode == 0, said
    assert _statuses(tmp_path / "out.json") == {
        ("class-posted", "FAIL"): 3,
        ("class-fixed", "PASS"): 3,
    }
    until(lambda: not any(one.is_running() for one in left), "the end of what was killed")


def test_another_worker_tries_what_one_cannot(
    scheduler: Path, worker: Worker, invoke: Invoke, tmp_path: Path
) -> None:
    worker("broken", PATH="/nowhere")
    worker("sound")
    words = ("run", "--matrix", str(_matrix(tmp_path)), "--cluster", _address(scheduler, 2))
    done = invoke(*words, "--json", "out.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert _statuses(tmp_path / "out.json") == {
        ("class-posted", "FAIL"): 3,
        ("class-fixed", "PASS"): 3,
    }
    cells = json.loads((tmp_path / "out.json").read_bytes())["cells"]
    assert max(cell["infrastructure_retries"] for cell in cells) == 1
    kept = {Path(cell["artifacts"]) for cell in cells if cell["artifacts"]}
    assert len(kept) == 3
    assert all((one / "verdict.json").is_file() for one in kept)
    # All of it was decided: a second run has nothing to do, not even a cluster's work.
    again = invoke(*words, "--resume", "--json", "again.json")
    assert again.returncode == 0
    assert _statuses(tmp_path / "again.json") == _statuses(tmp_path / "out.json")


def _address(scheduler: Path, workers: int) -> str:
    """Its address, once so many have joined."""
    address = str(json.loads(scheduler.read_text())["address"])
    with Client(address, timeout=60) as client:
        client.wait_for_workers(workers, timeout=120)
    return address


def _statuses(report: Path) -> Counter[tuple[str, str]]:
    cells = json.loads(report.read_bytes())["cells"]
    return Counter((c["tsm"], c["status"]) for c in cells if c["status"] != "SKIP")


def _task(tmp_path: Path, *statuses: tuple[str, Status]) -> TaskResult:
    """What a worker sends of claims that ended so."""
    cells = [
        CellResult(
            Cell(claim, "s", "6.12", "class-fixed", "sev-snp"), status, PASS, 0.1, status.value
        )
        for claim, status in statuses
    ]
    write_json(tmp_path / "sent.json", cells, {"cpus": 1})
    return TaskResult((tmp_path / "sent.json").read_bytes(), pack(tmp_path / "none"), "", 0, "w")


def test_a_fail_stands_and_an_error_is_replaced(tmp_path: Path) -> None:
    told: list[CellResult] = []
    board = Board(tmp_path, told.append)
    board.take(JOB, _task(tmp_path, ("R1", FAIL), ("J1", ERROR)), tries=1)
    assert board.left(JOB) == ("J1",)
    board.take(JOB, _task(tmp_path, ("R1", PASS), ("J1", PASS)), tries=2)
    assert board.left(JOB) == ()
    found = {one.cell.claim: one for one in board.results([JOB])}
    assert (found["R1"].status, found["R1"].infrastructure_retries) == (FAIL, 0)
    assert (found["J1"].status, found["J1"].infrastructure_retries) == (PASS, 1)
    assert [one.status for one in told] == [FAIL, ERROR, PASS]


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"cells": [{}], "host": {}, "notes": []}'])
def test_junk_is_no_verdict(tmp_path: Path, junk: bytes) -> None:
    board = Board(tmp_path, lambda _: None)
    board.take(JOB, TaskResult(junk, b"", "it fell over", 1, "w"), tries=1)
    assert board.left(JOB) == ("R1", "J1")
    board.give_up(JOB, "it fell over")
    assert [(one.status, one.detail) for one in board.results([JOB])] == [
        (ERROR, "harness: it fell over")
    ] * 2


def test_evidence_that_is_broken_costs_no_verdict(tmp_path: Path) -> None:
    board = Board(tmp_path, lambda _: None)
    sent = _task(tmp_path, ("R1", FAIL), ("J1", PASS))
    board.take(JOB, replace(sent, evidence=b"PK"), tries=1)
    assert board.left(JOB) == ()
    assert [(one.status, one.artifacts) for one in board.results([JOB])] == [
        (FAIL, None),
        (PASS, None),
    ]
    assert "cannot be kept" in board.notes[0]


def test_evidence_arrives_and_stays_where_it_is_put(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "cell").mkdir(parents=True)
    (source / "cell" / "kernel.log").write_bytes(b"\0oops" * 1000)
    unpack(pack(source), target)
    assert (target / "cell" / "kernel.log").read_bytes() == b"\0oops" * 1000
    hostile = io.BytesIO()
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("../outside", b"x")
    with pytest.raises(HarnessError, match="has the name"):
        unpack(hostile.getvalue(), target)
    with zipfile.ZipFile(bomb := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(257 << 20))
    with pytest.raises(HarnessError, match="larger than"):
        unpack(bomb.getvalue(), target)
    with pytest.raises(HarnessError, match="cannot be kept"):
        unpack(b"PK", target)
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "R1", "--cluster", "tcp://127.0.0.1:1"], "there is no cluster with workers at"),
        (["run", "R1", "--cluster", "here"], "no (address of a )?cluster"),
        (["run", "R1", "--resume"], "add --cluster local"),
    ],
)
def test_no_cluster(invoke: Invoke, words: list[str], said: str) -> None:
    done = invoke(*words)
    assert done.returncode in (2, 125)
    assert re.search(said, done.stderr)
    assert "Traceback" not in done.stderr
