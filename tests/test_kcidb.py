# SPDX-License-Identifier: MIT
"""The KCIDB format, validated by the library of the database."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import kcidb_io
import pytest

from harness.errors import HostError, UsageError
from harness.report.formats import kcidb_format
from harness.verdict import Patchset, RunResult
from tests.test_formats import HOST, RUN
from tests.test_report import HOSTILE, MIXED, S, result


def test_every_result_is_a_test_of_the_build_of_its_kernel(tmp_path: Path) -> None:
    path = tmp_path / "kcidb.json"
    kcidb_format.write(path, RUN, "my_lab")
    report = kcidb_io.schema.LATEST.validate(json.loads(path.read_text()))
    assert len({build["id"] for build in report["builds"]}) == len(report["builds"])
    assert len(report["builds"]) == len({one.cell.kernel for one in MIXED})
    assert len({test["id"] for test in report["tests"]}) == len(MIXED)
    assert [test["status"] for test in report["tests"]] == [one.status.value for one in MIXED]
    assert {test["build_id"] for test in report["tests"]} <= {b["id"] for b in report["builds"]}
    assert report["tests"][0]["path"].startswith("tsm_harness.")
    assert all(test["id"].startswith("my_lab:") for test in report["tests"])


def test_a_patch_has_a_checkout_of_its_own(tmp_path: Path) -> None:
    digests = tuple(hashlib.sha256(patch).hexdigest() for patch in (b"one", b"two"))
    fix = Patchset("tsm: fix it", "<1@example.org>", digests)
    results = [result(S.FAIL, S.FAIL, tsm="mainline"), result(S.PASS, tsm="patch:fix.mbox")]
    run = RunResult(results, HOST, patchsets={"patch:fix.mbox": fix})
    kcidb_format.write(tmp_path / "out", run, "my_lab")
    document = kcidb_io.schema.LATEST.validate(json.loads((tmp_path / "out").read_text()))
    bare, patched = document["checkouts"]
    assert bare["patchset_hash"] == "" and "message_id" not in bare
    # sha256sum *.patch | cut -c-64 | sha256sum
    assert patched["patchset_hash"] == (
        hashlib.sha256(f"{digests[0]}\n{digests[1]}\n".encode()).hexdigest()
    )
    assert patched["message_id"] == "1@example.org"
    assert patched["comment"] == f"tsm: fix it (on {results[0].cell.kernel})"
    builds = {build["id"]: build["checkout_id"] for build in document["builds"]}
    assert [builds[test["build_id"]] for test in document["tests"]] == [bare["id"], patched["id"]]


@pytest.mark.parametrize("message_id", ["", "no address", HOSTILE, "a@b c"])
def test_a_wrong_message_id_is_left_out(tmp_path: Path, message_id: str) -> None:
    run = RunResult(MIXED, HOST, patchsets={"class-fixed": Patchset(HOSTILE, message_id)})
    kcidb_format.write(tmp_path / "out", run, "my_lab")
    document = kcidb_io.schema.LATEST.validate(json.loads((tmp_path / "out").read_text()))
    assert not any("message_id" in checkout for checkout in document["checkouts"])


def test_text_of_a_guest_keeps_the_document_valid(tmp_path: Path) -> None:
    hostile = [
        replace(one, detail=HOSTILE * 10_000, rerun=HOSTILE, cell=replace(one.cell, tsm=HOSTILE))
        for one in MIXED
    ]
    kcidb_format.write(tmp_path / "out", RunResult(hostile, HOST), "my_lab")
    kcidb_io.schema.LATEST.validate(json.loads((tmp_path / "out").read_text()))
    assert (tmp_path / "out").stat().st_size < 40_000 * len(hostile)


def test_an_invalid_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a valid origin"):
        kcidb_format.write(tmp_path / "out", RUN, "My Lab")


def test_a_missing_library_has_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kcidb_io", None)
    with pytest.raises(HostError) as caught:
        kcidb_format.write(tmp_path / "out", RUN, "my_lab")
    assert "tsm-harness[kcidb]" in caught.value.hint
