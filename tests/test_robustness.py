# SPDX-License-Identifier: MIT
"""What happens when a run is cut short, starved or shared: a clean end, and never a PASS."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_TSMS

_LONG = ("reproduce", "T1", "--times", "500", "--tsm", "class-fixed")
_SECONDS = 60.0


class Run:
    """A ``tsm-harness`` process whose every trace lies below one directory."""

    def __init__(self, root: Path, cache: Path, *words: str, workers: int = 2) -> None:
        self.temporary = root / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.output = root / "output"
        command = [sys.executable, "-m", "harness", *words, "-n", str(workers)]
        command += ["--cache", str(cache), "--artifacts", str(root / "artifacts")]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(self.temporary)},
                start_new_session=True,
            )

    def guests(self) -> list[psutil.Process]:
        """The emulators that were started from this run's directory."""
        found = []
        for process in psutil.process_iter(["name", "cmdline"]):
            words = " ".join(process.info["cmdline"] or ())
            if process.info["name"].startswith("qemu") and str(self.temporary) in words:
                found.append(process)
        return found

    def descendants(self) -> list[psutil.Process]:
        """Every process below this one."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def workers(self) -> list[psutil.Process]:
        """The processes that run cells side by side."""
        children = psutil.Process(self.process.pid).children()
        return [one for one in children if one.name().startswith("python")]

    def wait(self) -> int:
        """Wait for the end; the exit status."""
        return self.process.wait(_SECONDS)

    def text(self) -> str:
        """What it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def nothing_left(self) -> bool:
        """Whether no emulator and no run directory is left."""
        return not self.guests() and not list(self.temporary.glob("tsm-harness-*"))


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.02)  # another process's state: there is nothing to wait on


@pytest.fixture
def cache(session: Session) -> Path:
    """A cache with everything the default run needs."""
    for tsm in DEFAULT_TSMS:
        session.template(DEFAULT_KERNEL, tsm)
    session.provider("sev-snp", 0)
    return session.cache.root


@pytest.fixture
def launch(tmp_path: Path, cache: Path) -> Iterator[Callable[..., Run]]:
    """Starts runs, and ends those that a failed test left running."""
    runs: list[Run] = []

    def start(*words: str, workers: int = 2) -> Run:
        runs.append(Run(tmp_path, cache, *words, workers=workers))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_run_ends_clean_and_without_a_verdict(
    launch: Callable[..., Run], number: signal.Signals, workers: int
) -> None:
    run = launch(*_LONG, workers=workers)
    _until(run.guests, "the first guest")
    if number == signal.SIGINT:  # as a terminal does it: to the whole foreground group
        os.killpg(run.process.pid, number)
    else:
        run.process.send_signal(number)
    assert run.wait() == 125, run.text()
    _until(run.nothing_left, "the end of every trace")
    assert "Traceback" not in run.text()


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_run_leaves_nothing_behind(launch: Callable[..., Run], workers: int) -> None:
    run = launch(*_LONG, workers=workers)
    _until(run.guests, "the first guest")
    below = run.descendants()
    run.process.kill()
    run.wait()
    _until(run.nothing_left, "the end of every trace")
    _until(lambda: not any(one.is_running() for one in below), "the end of every process")


def test_interrupted_while_a_template_boots(tmp_path: Path, cache: Path) -> None:
    fresh = tmp_path / "cache"
    subprocess.run(["cp", "-a", str(cache), str(fresh)], check=True)
    subprocess.run(["rm", "-rf", str(fresh / "template")], check=True)
    run = Run(tmp_path, fresh, "run", "R1")
    _until(run.guests, "the booting guest")
    os.killpg(run.process.pid, signal.SIGINT)
    assert run.wait() == 125, run.text()
    _until(run.nothing_left, "the end of every trace")
    assert not [path for path in (fresh / "template").glob("*") if not path.name.startswith(".")]


def test_killed_worker_costs_its_cell_only(launch: Callable[..., Run], tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts.json"
    run = launch("run", "--tsm", "class-fixed", "--json", str(verdicts))
    _until(lambda: run.guests() and len(run.workers()) == 2, "both workers")
    run.workers()[0].kill()
    assert run.wait() in (0, 125), run.text()
    _until(run.nothing_left, "the end of every trace")
    cells = json.loads(verdicts.read_bytes())["cells"]
    decided = [cell for cell in cells if cell["status"] in ("PASS", "FAIL", "SKIP")]
    assert len(decided) >= len(cells) - 2
    assert all(cell["status"] == cell["expected"] for cell in decided)


def test_two_runs_share_a_cache_without_templates(tmp_path: Path, cache: Path) -> None:
    fresh = tmp_path / "cache"
    subprocess.run(["cp", "-a", str(cache), str(fresh)], check=True)
    subprocess.run(["rm", "-rf", str(fresh / "template")], check=True)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    runs = [
        Run(tmp_path / name, fresh, "run", "T1", "--tsm", "class-fixed") for name in ("one", "two")
    ]
    assert [run.wait() for run in runs] == [0, 0], [run.text() for run in runs]
    assert sum("booting" in run.text() for run in runs) >= 1
    assert all(run.nothing_left() for run in runs)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
@pytest.mark.parametrize("where", ["cache", "TMPDIR"])
def test_full_disk_is_said_plainly(tmp_path: Path, cache: Path, where: str) -> None:
    small = tmp_path / "small"
    small.mkdir()
    # Without free inodes nothing can be made, whatever the size; a directory that cannot take a
    # single byte is not even used: Python then looks for another one.
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
        said = done.stdout + done.stderr
        assert done.returncode == 125, said
        assert "Traceback" not in said
        assert "PASS" not in said.replace("expected PASS", "")
        assert "disk is full" in said or "No space left" in said
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_files_cannot_grow_without_bound(clone: Callable[[str], object], session: Session) -> None:
    guest = session.factory(DEFAULT_KERNEL).clone(session.factory(DEFAULT_KERNEL).template())
    with guest:
        soft, _ = resource.prlimit(guest.machine.pid, resource.RLIMIT_FSIZE)
        assert 0 < soft <= 64 << 20
