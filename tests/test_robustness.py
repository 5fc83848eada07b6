# SPDX-License-Identifier: MIT
"""Runs that are interrupted, killed, out of disk space, or share a cache with another run."""

from __future__ import annotations

import gc
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.guest.guest import Guest
from harness.progress import NullProgress
from harness.runner import run_cells
from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_TSMS, Settings
from tests.processes import Run, qemu_command_lines

_LONG = ("reproduce", "T1", "--times", "500", "--tsm", "class-fixed")
_SECONDS = 60.0
_IMPORTS = 3_000_000  # bytes; a worker that runs its first cell has read about 9 million


def _wait_until(condition: Callable[[], object], event: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{event} did not happen"
        time.sleep(0.02)  # the other process sends no event to wait for


@pytest.fixture
def cache(session: Session) -> Path:
    """A cache with everything that the default run needs."""
    for tsm in DEFAULT_TSMS:
        session.template(DEFAULT_KERNEL, tsm)
    session.provider("sev-snp", 0)
    return session.cache.root


def _copy_without_templates(cache: Path, target: Path) -> Path:
    target.mkdir()
    parts = [str(part) for part in cache.iterdir() if part.name != "template"]
    subprocess.run(["cp", "-a", "--reflink=auto", *parts, str(target)], check=True)
    return target


@pytest.fixture
def launch(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Run]]:
    """Starts runs; kills those that a failed test leaves running."""
    runs: list[Run] = []

    def start(*arguments: str, workers: int = 2) -> Run:
        runs.append(Run(tmp_path, cache, *arguments, workers=workers))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_run_cleans_up_and_exits_125(
    launch: Callable[..., Run], number: signal.Signals, workers: int
) -> None:
    run = launch(*_LONG, workers=workers)
    _wait_until(run.guests, "the first guest")
    if number != signal.SIGTERM:  # a terminal signals the whole foreground process group
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    assert run.wait() == 125, run.text()
    _wait_until(run.is_cleaned_up, "the end of every QEMU and of the run directory")
    assert "Traceback" not in run.text()


@pytest.mark.parametrize("workers", [1, 2])
def test_closed_terminal_ends_the_run_and_its_report_is_written(
    cache: Path, tmp_path: Path, workers: int
) -> None:
    report, temporary = tmp_path / "run.json", tmp_path / "tmp"
    temporary.mkdir()
    command = ["env", "--default-signal=HUP", f"TMPDIR={temporary}", sys.executable, "-m"]
    command += ["harness", "run", "T1", "--tsm=class-fixed", "--times=200", f"-n{workers}"]
    command += [f"--cache={cache}", f"--artifacts={tmp_path / 'artifacts'}", f"--json={report}"]
    command += [f"--history={tmp_path / 'history.db'}"]
    child, terminal = pty.fork()  # the child leads the session of the terminal
    if child == 0:
        os.execvp(command[0], command)
    _read_until(terminal, lambda: len(_journal_lines(tmp_path)) > 3)
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 125
    statuses = [cell["status"] for cell in json.loads(report.read_bytes())["cells"]]
    assert set(statuses) == {"PASS", "MISS"}
    written = [line for line in _journal_lines(tmp_path) if b'"result"' in line]
    assert statuses.count("PASS") == len(written)
    _wait_until(
        lambda: not qemu_command_lines(temporary) and not list(temporary.iterdir()),
        "the end of every QEMU and of the run directory",
    )


def _read_until(terminal: int, condition: Callable[[], object]) -> None:
    """Read what is written to the terminal, so that the writer never waits."""
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline
        if select.select([terminal], [], [], 0.1)[0]:
            os.read(terminal, 65536)


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_run_leaves_no_process_and_no_directory(
    launch: Callable[..., Run], workers: int
) -> None:
    run = launch(*_LONG, workers=workers)
    _wait_until(run.guests, "the first guest")
    descendants = run.descendants()
    run.process.kill()
    run.wait()
    _wait_until(run.is_cleaned_up, "the end of every QEMU and of the run directory")
    _wait_until(
        lambda: not any(process.is_running() for process in descendants), "the end of every process"
    )


def test_interrupt_while_a_template_boots_leaves_no_template(tmp_path: Path, cache: Path) -> None:
    fresh = _copy_without_templates(cache, tmp_path / "cache")
    run = Run(tmp_path, fresh, "run", "R1")
    _wait_until(run.guests, "the booting guest")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.wait() == 125, run.text()
    _wait_until(run.is_cleaned_up, "the end of every QEMU and of the run directory")
    assert not [path for path in (fresh / "template").glob("*") if not path.name.startswith(".")]


def test_killed_worker_loses_only_its_cell(launch: Callable[..., Run], tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts.json"
    run = launch("run", "--tsm", "class-fixed", "--json", str(verdicts))
    _wait_until(lambda: run.guests() and len(run.workers()) == 2, "both workers")
    run.workers()[0].kill()
    assert run.wait() in (0, 125), run.text()
    _wait_until(run.is_cleaned_up, "the end of every QEMU and of the run directory")
    cells = json.loads(verdicts.read_bytes())["cells"]
    decided = [cell for cell in cells if cell["status"] in ("PASS", "FAIL", "SKIP")]
    assert len(decided) >= len(cells) - 2
    assert all(cell["status"] == cell["expected"] for cell in decided)


@pytest.mark.parametrize("moment", ["before it is up", "while it collects"])
def test_worker_that_dies_before_its_first_cell_costs_no_verdict(
    launch: Callable[..., Run], tmp_path: Path, moment: str
) -> None:
    verdicts = tmp_path / "verdicts.json"
    run = launch("run", "T1", "--tsm", "class-fixed", "--json", str(verdicts))
    _wait_until(run.workers, "the first worker")
    if moment == "while it collects":
        _wait_until(lambda: len(run.workers()) == 2, "the second worker")
        _wait_until(lambda: _bytes_read(run.workers()[-1]) > _IMPORTS, "its import of pytest")
    run.workers()[-1].kill()
    assert run.wait() == 0, run.text()
    cells = json.loads(verdicts.read_bytes())["cells"]
    assert [cell["status"] for cell in cells] == ["PASS"] * 3
    _wait_until(run.is_cleaned_up, "the end of every QEMU and of the run directory")


def test_killed_run_goes_on_where_it_was(launch: Callable[..., Run], tmp_path: Path) -> None:
    command = ("run", "T1", "--times", "12", "--tsm", "class-fixed")
    run = launch(*command)
    _wait_until(lambda: len(_journal_lines(tmp_path)) > 8, "some verdicts")
    run.process.kill()
    run.wait()
    _wait_until(run.is_cleaned_up, "the end of every QEMU and of the run directory")
    before = _journal_lines(tmp_path)
    with next(tmp_path.glob("artifacts/journal/*")).open("ab") as journal:
        journal.write(b'{"job": "torn')  # as a power failure leaves it
    verdicts = tmp_path / "verdicts.json"
    run = launch(*command, "--resume", "--json", str(verdicts))
    assert run.wait() == 0, run.text()
    cells = json.loads(verdicts.read_bytes())["cells"]
    assert [cell["status"] for cell in cells] == ["PASS"] * 36
    after = _journal_lines(tmp_path)
    assert after[: len(before)] == before
    assert len([line for line in after if b'"result"' in line]) == 36, "no cell was run twice"


def test_resuming_another_run_is_refused(launch: Callable[..., Run], tmp_path: Path) -> None:
    assert launch("run", "T1", "--tsm", "class-fixed").wait() == 0
    run = launch("run", "T1", "--tsm", "class-fixed", "--seed", "7", "--resume")
    assert run.wait() == 2
    assert "seed: 0 then, 7 now" in " ".join(run.text().split())
    run = launch("run", "T1", "--tsm", "class-fixed", f"--resume={tmp_path / 'tmp'}")
    assert run.wait() == 2
    assert "has no journal" in " ".join(run.text().split())


def _journal_lines(root: Path) -> list[bytes]:
    """The whole lines of the only journal below ``root``."""
    files = list(root.glob("artifacts/journal/*.jsonl"))
    assert len(files) <= 1
    return [line for file in files for line in file.read_bytes().split(b"\n")[:-1] if line]


def _bytes_read(process: psutil.Process) -> int:
    """How much a process has read: a worker reads the modules of Python, pytest and the harness."""
    return int(process.io_counters().read_chars)


def test_guests_of_cells_that_have_ended_are_forgotten(cache: Path, tmp_path: Path) -> None:
    alive: list[int] = []

    def count(_: object) -> None:
        gc.collect()
        alive.append(sum(isinstance(each, Guest) for each in gc.get_objects()))

    settings = Settings(
        tsms=("class-fixed",), claims=("K3",), times=6, cache=cache, artifacts=tmp_path / "results"
    )
    before = sum(isinstance(each, Guest) for each in gc.get_objects())
    assert len(run_cells(settings, 1, NullProgress(), count).results) == len(alive) >= 6
    # The guest of the cell, and the clone that the pool has made for the next one.
    assert max(alive) - before <= 3, alive


def test_two_runs_share_a_cache_without_templates(tmp_path: Path, cache: Path) -> None:
    fresh = _copy_without_templates(cache, tmp_path / "cache")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    runs = [
        Run(tmp_path / name, fresh, "run", "T1", "--tsm", "class-fixed")
        for name in ("first", "second")
    ]
    assert [run.wait() for run in runs] == [0, 0], [run.text() for run in runs]
    assert sum("booting" in run.text() for run in runs) >= 1
    assert all(run.is_cleaned_up() for run in runs)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("where", ["cache", "TMPDIR"])
def test_full_disk_is_reported(tmp_path: Path, cache: Path, where: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    # TMPDIR has few inodes instead of few bytes: Python uses another directory when it cannot write
    # a test file into this one.
    limit = "size=2m" if where == "cache" else "nr_inodes=6"
    subprocess.run(["mount", "-t", "tmpfs", "-o", limit, "tmpfs", str(small)], check=True)
    try:
        command = [sys.executable, "-m", "harness", "run", "R1", "--tsm", "class-fixed", "-n", "1"]
        environment = dict(os.environ)
        if where == "cache":
            command += ["--cache", str(small)]
        else:
            environment["TMPDIR"] = str(small)
            command += ["--cache", str(cache)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=False,
            cwd=tmp_path,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert done.returncode == 125, output
        assert "Traceback" not in output
        assert "PASS" not in output.replace("expected PASS", "")
        assert "disk is full" in output or "No space left" in output
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_size_of_files_that_qemu_writes_is_limited(session: Session) -> None:
    factory = session.factory(DEFAULT_KERNEL)
    with factory.clone(factory.template()) as guest:
        limits = Path(f"/proc/{guest.machine.pid}/limits").read_text()
        [largest] = re.findall(r"^Max file size +(\d+) ", limits, re.MULTILINE)
        assert 0 < int(largest) <= 64 << 20
