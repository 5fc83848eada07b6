# SPDX-License-Identifier: MIT
"""The history: which runs it stores, and how it shows changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.errors import HostError
from harness.history.changes import Place, periods
from harness.history.database import read_history, record_run
from harness.verdict import Cell, CellResult, Status
from tests.test_cli import Invoke, invoke

__all__ = ["invoke"]  # the fixture

PASS, FAIL, SKIP = Status.PASS, Status.FAIL, Status.SKIP


def _run(base: Path, statuses: Sequence[Status], kernel: str = "6.12.1", claim: str = "R1") -> None:
    results = [
        CellResult(Cell(claim, "frees", kernel, "mainline", "sev-snp", seed), status, PASS, 0.5)
        for seed, status in enumerate(statuses)
    ]
    record_run(base, results, "tsm-harness run")


def test_a_change_is_shown_with_its_kernel(tmp_path: Path) -> None:
    base = tmp_path / "new" / "history.db"
    _run(base, [PASS])
    _run(base, [PASS, PASS], "6.12.2")
    _run(base, [PASS, FAIL, PASS], "6.12.3")
    _run(base, [FAIL], "7.3.1")
    found = periods(read_history(base))
    old, new = found[Place("R1", "frees", "6.12", "mainline", "sev-snp")]
    assert (old.first.status, old.first.kernel, old.rate) == (PASS, "6.12.1", (3, 3))
    assert (new.first.status, new.first.kernel, new.rate) == (FAIL, "6.12.3", (1, 3))
    assert len(found[Place("R1", "frees", "7.3", "mainline", "sev-snp")]) == 1


def test_entries_are_selected_by_claim(tmp_path: Path) -> None:
    base = tmp_path / "history.db"
    _run(base, [PASS])
    _run(base, [FAIL], claim="J1")
    assert [entry.claim for entry in read_history(base, ["J1"])] == ["J1"]
    assert len(read_history(base)) == 2
    assert read_history(tmp_path / "none.db") == []


def test_parallel_runs_are_all_stored(tmp_path: Path) -> None:
    base = tmp_path / "history.db"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: _run(base, [PASS, FAIL]), range(40)))
    entries = read_history(base)
    assert len(entries) == 40
    assert all(entry.counts == {PASS: 1, FAIL: 1} for entry in entries)


def test_another_file_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    base = tmp_path / "history.db"
    base.write_bytes(b"my thesis" * 1000)
    for use in (lambda: _run(base, [PASS]), lambda: read_history(base)):
        with pytest.raises(HostError, match="cannot use"):
            use()
    assert base.read_bytes() == b"my thesis" * 1000
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as strange:
        strange.execute("CREATE TABLE verdict (run INTEGER)")
    with pytest.raises(HostError, match="cannot use"):
        read_history(other)


def test_commands(invoke: Invoke, tmp_path: Path) -> None:
    options = ("--history", str(tmp_path / "own.db"))
    nothing = invoke("history", "R1", *options)
    assert nothing.returncode == 2
    assert "no entry for R1" in nothing.stderr
    done = invoke("run", "R1", "--tsm", "class-posted", *options, "-n", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    shown = invoke("history", "r1", *options).stdout
    assert "on class-posted, sev-snp, 6.12" in shown
    assert "FAIL 1/1 in 1 run since" in shown
    assert "SKIP" not in shown
    assert invoke("history", "--changes", *options).stdout == ""
    # The verdicts do not depend on the history.
    (tmp_path / "file").write_text("")
    lost = ("--history", str(tmp_path / "file" / "history.db"))
    done = invoke("run", "R1", "--tsm", "class-posted", *lost, "-n", "1")
    assert done.returncode == 0
    assert "cannot use" in done.stderr
