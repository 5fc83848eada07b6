# SPDX-License-Identifier: MIT
"""The bookkeeping of the soak: it notices a wrong verdict, a leftover, and a lost verdict."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import tests.soak.trial as trial_module
from harness.report.journal import Journal
from harness.report.run_json import cell_as_json
from harness.verdict import Cell, CellResult, Status
from tests.processes import Run
from tests.soak.figures import Figures, Row, error_text
from tests.soak.leftovers import leftovers
from tests.soak.trial import Bench, Trial
from tests.soak.verdicts import count_shown

_KNOWN = {("T1", "test_a", "class-fixed"): "PASS", ("T1", "test_b", "class-fixed"): "FAIL"}
_GOOD = {"test_a": Status.PASS, "test_b": Status.FAIL}


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trial]:
    """A trial that has written the known verdicts to its journal and its report."""
    monkeypatch.setattr(trial_module, "_CLEAN_SECONDS", 0.0)
    made = Trial(Bench(tmp_path / "cache", _KNOWN), tmp_path / "trial-0", "")
    write(made, _GOOD, _GOOD)
    yield made
    made.on_close.close()


def result(name: str, status: Status) -> CellResult:
    """A result of the scenario ``name``."""
    cell = Cell("T1", name, "6.12", "class-fixed", "sev-snp")
    return CellResult(cell, status, Status.PASS, 0.5, "guest 12 is lost", "tsm-harness run T1")


def write(trial: Trial, journal: dict[str, Status], report: dict[str, Status]) -> None:
    """Write a journal and a report, as a run does."""
    made = Journal.create(trial.results, {}, "")
    for name, status in journal.items():
        made.add("job", name, result(name, status))
    made.close(ended=True)
    cells = [cell_as_json(result(name, status)) for name, status in report.items()]
    trial.report.write_text(json.dumps({"cells": cells}))


def ended(output: str = "", status: int = 0) -> Run:
    """A run that has ended."""
    process = subprocess.Popen(["sh", "-c", f"exit {status}"])
    return cast(Run, SimpleNamespace(process=process, text=lambda: output))


def figures(trial: Trial) -> tuple[int, int, int]:
    """Return what must be 0."""
    return trial.row.wrong, trial.row.left, trial.row.lost


def test_known_verdicts_are_good(trial: Trial) -> None:
    trial.finish(ended("deciding: T1 on class-fixed: PASS ━━━ 2/2 0:00:01"))
    trial.close()
    assert figures(trial) == (0, 0, 0)
    assert (trial.row.verdicts, trial.row.errors.total()) == (2, 0)
    assert not trial.root.exists()


@pytest.mark.parametrize("status", [Status.ERROR, Status.MISS])
def test_cell_without_a_verdict_is_an_error_but_not_wrong(trial: Trial, status: Status) -> None:
    cells = _GOOD | {"test_a": status}
    write(trial, cells, cells)
    trial.finish(ended(status=125))
    assert figures(trial) == (0, 0, 0)
    assert trial.row.errors == {f"{status.value}: guest N is lost": 1}


@pytest.mark.parametrize("status", [Status.FAIL, Status.SKIP])
def test_wrong_verdict_is_noticed_in_the_report(trial: Trial, status: Status) -> None:
    write(trial, {}, _GOOD | {"test_a": status})
    trial.finish(ended())
    assert trial.row.wrong == 1
    assert f"T1 test_a class-fixed: {status.value}, known is PASS" in trial.row.details[0]


def test_wrong_verdict_is_noticed_in_a_journal_without_a_report(trial: Trial) -> None:
    write(trial, _GOOD | {"test_b": Status.PASS}, {})
    trial.report.unlink()
    trial.finish(ended(), reported=False)
    assert figures(trial) == (1, 0, 0)


def test_verdict_of_an_unknown_cell_is_wrong(trial: Trial) -> None:
    cells = _GOOD | {"test_c": Status.PASS}
    write(trial, cells, cells)
    trial.finish(ended())
    assert figures(trial) == (1, 0, 0)


def test_verdict_that_is_missing_in_the_journal_is_lost(trial: Trial) -> None:
    write(trial, {"test_a": Status.PASS}, _GOOD)
    trial.finish(ended())
    assert figures(trial) == (0, 0, 1)
    trial.finish(ended("note: the journal FILE lacks verdicts: the disk is full"))
    assert figures(trial) == (0, 0, 1)


@pytest.mark.parametrize("report", [{"test_a": Status.PASS}, _GOOD | {"test_b": Status.MISS}])
def test_verdict_that_is_missing_in_the_report_is_lost(
    trial: Trial, report: dict[str, Status]
) -> None:
    write(trial, _GOOD, report)
    trial.finish(ended())
    assert figures(trial) == (0, 0, 1)


def test_verdict_that_was_shown_and_is_not_in_the_journal_is_lost(trial: Trial) -> None:
    trial.finish(ended("deciding: T1 ━━━ 3/9 0:00:01"), reported=False)
    assert figures(trial) == (0, 0, 1)


def test_verdict_that_resume_does_not_report_is_lost(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*arguments: str) -> Run:
        assert "--resume" in arguments
        write(trial, {"test_a": Status.PASS}, {"test_a": Status.PASS})
        return ended()

    monkeypatch.setattr(trial, "start", start)
    trial.resume()
    assert figures(trial) == (0, 0, 1)
    assert trial.row.errors == {"--resume: 1 cells are not in the report": 1}


def test_run_that_does_not_end_is_left_behind(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "_RUN_SECONDS", 0.1)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    trial.finish(cast(Run, SimpleNamespace(process=process, text=lambda: "")))
    assert trial.row.left == 1
    assert process.poll() is not None


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_process_is_left_behind_and_ended(trial: Trial, where: str) -> None:
    place = f"{trial.root}/tmp/console"
    command = ["sh", "-c", "read line", place] if where == "argument" else ["cat"]
    environment = {"TMPDIR": place} if where == "environment" else {}
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment | {"PATH": "/bin"}
    )
    trial.close()
    assert trial.row.left == 1, trial.row.details
    assert process.wait(10) == -9
    assert trial.root.exists()


def test_directory_and_socket_are_left_behind(trial: Trial) -> None:
    (trial.root / "tmp" / "tsm-harness-1").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(trial.root / "agent"))
        listener.listen()
        found = leftovers(trial.root)
    assert [each.split(" /")[0].split(":")[0].split()[0] for each in found] == [
        "file", "socket", "socket",
    ]  # fmt: skip
    (trial.root / "tmp" / "tsm-harness-1").rmdir()
    (trial.root / "agent").unlink()
    assert leftovers(trial.root) == []


def test_table_has_the_sum_and_the_errors() -> None:
    table = Figures()
    table.add("kill", Row(tries=1, verdicts=5))
    table.add("kill", Row(tries=1, verdicts=6, left=1, details=["left: process 1"]))
    row = Row(tries=1)
    row.errors["MISS: not run"] += 2
    table.add("flood", row)
    lines = table.table().splitlines()
    assert "| kill | 2 | 11 | 0 | 1 | 0 | 0 |" in lines
    assert "| all | 3 | 11 | 0 | 1 | 0 | 2 |" in lines
    assert "    2 x MISS: not run" in lines
    assert lines[-1] == "left: process 1"
    assert not table.total.is_good
    assert row.is_good
    assert not Row(details=["trial-1: ZeroDivisionError"]).is_good


def test_progress_bar_is_read() -> None:
    assert (
        count_shown("\r\x1b[2K⠋ deciding ━━ 0/16 0:00\r\x1b[2K⠙ deciding: T1 ━━ 12/16 0:01") == 12
    )
    assert count_shown("⠋ booting 3/4\r\nno bar") == 0


def test_equal_errors_have_equal_texts() -> None:
    one = error_text("guest 3 is lost: /tmp/a/b.log, 0x1f\nmore")
    assert one == error_text("guest 12 is lost: /srv/c, 0xff0")
    assert one == "guest N is lost: PATH, N"
