# SPDX-License-Identifier: MIT
"""The journal of a run: what it keeps, what it tolerates, and what it refuses."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from harness.errors import HostError, UsageError
from harness.report.journal import Journal, newest_journal
from harness.verdict import Cell, CellResult, Status

SETTINGS = {"tsm": "class-fixed", "seed": "0"}
COMMAND = "tsm-harness run T1"


def result(name: str, status: Status = Status.PASS) -> CellResult:
    """A result of the scenario ``name``."""
    cell = Cell("T1", name, "6.12", "class-fixed", "sev-snp")
    return CellResult(cell, status, Status.PASS, 0.5, "as seen", "tsm-harness run T1")


def started(root: Path) -> Journal:
    """A journal of one job, with one verdict."""
    journal = Journal.create(root, SETTINGS, COMMAND)
    journal.begin("job", {"kernel": "abc"})
    journal.add("job", "first", result("test_first"))
    return journal


def test_verdict_is_in_the_file_before_the_run_ends(tmp_path: Path) -> None:
    journal = started(tmp_path)
    last = json.loads(journal.path.read_bytes().splitlines()[-1])
    assert (last["node"], last["result"]["status"]) == ("first", "PASS")
    journal.close()


@pytest.mark.parametrize("cut", [2, 40, 200])
def test_torn_last_line_costs_its_cell_only(tmp_path: Path, cut: int) -> None:
    journal = started(tmp_path)
    journal.add("job", "second", result("test_second"))
    journal.close()
    os.truncate(journal.path, journal.path.stat().st_size - cut)
    again = Journal.resume(journal.path, SETTINGS)
    assert again.decided("job") == {"first": result("test_first")}
    again.add("job", "second", result("test_second"))
    again.close()
    last = Journal.resume(journal.path, SETTINGS)
    assert list(last.decided("job")) == ["first", "second"]
    last.close()


def test_damaged_line_costs_its_cell_only(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.add("job", "second", result("test_second"))
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"test_first"', b'"test_fir\xff'))
    again = Journal.resume(journal.path, SETTINGS)
    assert list(again.decided("job")) == ["second"]
    again.close()


@pytest.mark.parametrize("status", [Status.ERROR, Status.MISS])
def test_cell_without_a_verdict_is_left_to_run(tmp_path: Path, status: Status) -> None:
    journal = started(tmp_path)
    journal.add("job", "first", result("test_first", status))
    assert journal.decided("job") == {}
    journal.add("job", "first", result("test_first", Status.FAIL))
    assert journal.decided("job")["first"].status is Status.FAIL
    journal.close()


def test_verdicts_of_a_killed_run_are_not_reported_yet(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.close()
    again = Journal.resume(journal.path, SETTINGS)
    assert again.reported("job") == {}
    again.close(ended=True)
    last = Journal.resume(journal.path, SETTINGS)
    assert list(last.reported("job")) == ["first"]
    last.add("job", "second", result("test_second"))
    assert list(last.reported("job")) == ["first"]
    last.close()


def test_journal_of_a_run_that_goes_on_is_refused(tmp_path: Path) -> None:
    path = started(tmp_path).path
    journal = newest_journal(tmp_path)
    assert journal == path
    with pytest.raises(UsageError, match="still going on"):
        Journal.resume(path, SETTINGS)


def test_the_difference_is_named(tmp_path: Path) -> None:
    journal = started(tmp_path)
    journal.close()
    with pytest.raises(UsageError, match="seed: 0 then, 1 now") as caught:
        Journal.resume(journal.path, SETTINGS | {"seed": "1"})
    assert COMMAND in caught.value.hint
    again = Journal.resume(journal.path, SETTINGS)
    again.begin("job", {"kernel": "abc"})
    again.begin("another job", {"kernel": "def"})
    with pytest.raises(UsageError, match="kernel: abc then, def now"):
        again.begin("job", {"kernel": "def"})


def test_file_that_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    file = tmp_path / "journal" / "1.jsonl"
    for text in (b"", b"\0\0\0", b'{"journal": 99}\n', b'{"journal": 1, "settings": 5}\n'):
        file.write_bytes(text)
        with pytest.raises(UsageError, match="not the journal"):
            Journal.resume(newest_journal(tmp_path), SETTINGS)
    with pytest.raises(UsageError, match="has no journal"):
        newest_journal(tmp_path / "elsewhere")
    with pytest.raises(HostError, match="cannot write"):
        Journal.create(file, SETTINGS, COMMAND)


def test_old_journals_are_removed_except_those_in_use(tmp_path: Path) -> None:
    running = started(tmp_path)
    running.path = running.path.rename(tmp_path / "journal" / "0-oldest.jsonl")
    for _ in range(12):
        started(tmp_path).close()
    left = sorted(path.name for path in (tmp_path / "journal").iterdir())
    assert len(left) == 11
    assert left[0] == "0-oldest.jsonl"
    running.close()


def test_full_disk_costs_lines_but_raises_nothing(tmp_path: Path) -> None:
    journal = started(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.path.stat().st_size + 100, before[1]))
    try:
        journal.add("job", "second", result("test_second"))
        assert journal.problem
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.add("job", "third", result("test_third"))
    assert not journal.problem
    journal.close()
    again = Journal.resume(journal.path, SETTINGS)
    assert list(again.decided("job")) == ["first", "third"]
    again.close()
