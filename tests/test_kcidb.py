# SPDX-License-Identifier: MIT
"""The KCIDB report, as the database's own library takes it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import kcidb_io
import pytest

from harness.errors import HostError, UsageError
from harness.report import kcidb
from harness.report.kcidb import write_kcidb
from tests.test_report import HOST, HOSTILE, MIXED


def test_every_result_is_a_test_of_its_kernels_build(tmp_path: Path) -> None:
    path = tmp_path / "kcidb.json"
    write_kcidb(path, MIXED, HOST, "my_lab")
    report = kcidb_io.schema.LATEST.validate(json.loads(path.read_text()))
    assert len({build["id"] for build in report["builds"]}) == len(report["builds"])
    assert len(report["builds"]) == len({one.cell.kernel for one in MIXED})
    assert len({test["id"] for test in report["tests"]}) == len(MIXED)
    assert [test["status"] for test in report["tests"]] == [one.status.value for one in MIXED]
    assert {test["build_id"] for test in report["tests"]} <= {b["id"] for b in report["builds"]}
    assert report["tests"][0]["path"].startswith("tsm_harness.")
    assert all(test["id"].startswith("my_lab:") for test in report["tests"])


def test_a_guests_words_break_nothing(tmp_path: Path) -> None:
    hostile = [
        replace(one, detail=HOSTILE * 10_000, rerun=HOSTILE, cell=replace(one.cell, tsm=HOSTILE))
        for one in MIXED
    ]
    write_kcidb(tmp_path / "out", hostile, HOST, "my_lab")
    kcidb_io.schema.LATEST.validate(json.loads((tmp_path / "out").read_text()))
    assert (tmp_path / "out").stat().st_size < 40_000 * len(hostile)


def test_a_name_that_no_sender_can_have(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no origin"):
        write_kcidb(tmp_path / "out", MIXED, HOST, "My Lab")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kcidb, "kcidb_io", None)
    with pytest.raises(HostError) as caught:
        write_kcidb(tmp_path / "out", MIXED, HOST, "my_lab")
    assert "tsm-harness[kcidb]" in caught.value.hint
