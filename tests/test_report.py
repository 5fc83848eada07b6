# SPDX-License-Identifier: MIT
"""Verdicts, exit status, and the forms of the report."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import HostError
from harness.oracle.records import LogRecord
from harness.report.artifacts import MAX_FILE, Evidence, artifact_directory, write_artifacts
from harness.report.host import describe_host
from harness.report.html_report import write_html
from harness.report.json_report import write_json
from harness.report.junit import write_junit
from harness.report.ktap import ktap_lines, write_ktap
from harness.report.table import print_report
from harness.report.timeline import Span
from harness.verdict import (
    Cell,
    CellResult,
    Status,
    exit_status,
    no_verdict_reason,
    summary,
)

S = Status
HOSTILE = "\x1b[31m[bold]\x00 \ud800 ]]> <a> & \ufffe\u202f"


def result(
    status: Status,
    expected: Status = S.PASS,
    *,
    claim: str = "R1",
    tsm: str = "class-fixed",
    kernel: str = "6.12.117+deb12-cloud-amd64",
    seed: int = 0,
    detail: str = "what happened",
) -> CellResult:
    cell = Cell(claim, "double_free", kernel, tsm, "sev-snp", seed)
    rerun = f"tsm-harness run {claim} --tsm {tsm}"
    return CellResult(cell, status, expected, 0.1234, detail, rerun, Path("/out/x"))


MIXED = [
    result(S.PASS),
    result(S.FAIL, S.FAIL, tsm="class-posted"),
    result(S.FAIL, claim="J1", detail="SLUB: Object already free\n  second line"),
    result(S.PASS, S.FAIL, claim="J1", tsm="class-posted", detail="was not seen"),
    result(S.ERROR, claim="T1", detail="the guest vanished"),
    result(S.SKIP, S.SKIP, claim="T1", tsm="class-posted", detail="no such attribute"),
    result(S.MISS, claim="K3"),
]


# --- exit status --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([], 125),
        ([result(S.PASS)], 0),
        ([result(S.FAIL, S.FAIL), result(S.PASS)], 0),
        ([result(S.PASS), result(S.SKIP, S.SKIP)], 0),
        ([result(S.PASS), result(S.SKIP)], 1),
        ([result(S.PASS), result(S.SKIP, S.FAIL)], 1),
        ([result(S.PASS), result(S.SKIP), result(S.ERROR)], 1),
        ([result(S.PASS, S.SKIP)], 1),
        ([result(S.SKIP, S.SKIP)], 125),
        ([result(S.SKIP)], 125),
        ([result(S.ERROR), result(S.SKIP)], 125),
        ([result(S.FAIL)], 1),
        ([result(S.PASS, S.FAIL)], 1),
        ([result(S.PASS), result(S.ERROR)], 125),
        ([result(S.PASS), result(S.MISS)], 125),
        ([result(S.ERROR), result(S.FAIL)], 1),
        (MIXED, 1),
    ],
)
def test_exit_status(results: Sequence[CellResult], status: int) -> None:
    assert exit_status(results) == status
    assert exit_status(list(reversed(results))) == status


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([], "no scenario was run"),
        ([result(S.SKIP), result(S.PASS)], ""),
        ([result(S.FAIL)], ""),
        (
            [result(S.SKIP, detail="no kcsan")] * 2 + [result(S.ERROR, detail="no disk")],
            "no cell was decided (1 ERROR, 2 SKIP); 2 of 3: no kcsan",
        ),
        ([result(S.SKIP, S.SKIP)], "no cell was decided (1 SKIP); 1 of 1: what happened"),
    ],
)
def test_a_run_that_decided_nothing_has_a_reason(
    results: Sequence[CellResult], reason: str
) -> None:
    assert no_verdict_reason(results) == reason
    assert not reason or exit_status(results) == 125


def test_summary_counts_every_status() -> None:
    assert summary(MIXED) == {"FAIL": 2, "ERROR": 1, "MISS": 1, "PASS": 2, "SKIP": 1}
    assert set(summary([]).values()) == {0}


# --- table --------------------------------------------------------------------------------------


def printed(results: Sequence[CellResult], *, width: int = 80, terminal: bool = False) -> str:
    out = io.StringIO()
    print_report(results, Console(file=out, width=width, force_terminal=terminal))
    return out.getvalue()


def row(text: str, claim: str) -> list[str]:
    [line] = [line for line in text.splitlines() if line.startswith(f"| {claim} ")]
    return [part.strip() for part in line.strip("|").split("|")]


def test_table_is_plain_and_fits() -> None:
    text = printed(MIXED)
    assert "\x1b" not in text
    tables = [line for line in text.splitlines() if line.startswith(("|", "+"))]
    assert tables
    assert all(len(line) <= 80 for line in tables)
    assert row(text, "claim") == ["claim", "class-fixed", "class-posted"]
    assert row(text, "R1") == ["R1", "PASS", "FAIL"]
    assert row(text, "J1") == ["J1", "FAIL !", "PASS !"]
    assert row(text, "T1") == ["T1", "ERROR", "SKIP"]
    assert row(text, "K3") == ["K3", "MISS", "-"]


def test_details_of_what_needs_attention_and_of_nothing_else() -> None:
    text = printed(MIXED)
    assert text.count("  rerun: ") == 4
    assert "  expected PASS, got FAIL\n  SLUB: Object already free\n" in text
    assert "  rerun: tsm-harness run T1 --tsm class-fixed\n" in text
    assert "what happened" not in text.split("FAIL J1")[0].split("ERROR")[0]
    assert "no such attribute" not in text
    assert "  recorded: /out/x\n" in text
    last = text.splitlines()[-1]
    assert last == "7 cells: 2 FAIL, 1 ERROR, 1 MISS, 2 PASS, 1 SKIP; 2 not as expected (!)"


def test_a_skip_that_was_not_predicted_is_explained_like_a_fail() -> None:
    text = printed([result(S.PASS), result(S.SKIP, tsm="mainline", detail="no attribute format")])
    assert row(text, "R1") == ["R1", "PASS", "SKIP !"]
    assert "  expected PASS, got SKIP\n  no attribute format\n" in text
    assert "  rerun: tsm-harness run R1 --tsm mainline\n" in text
    assert text.endswith("2 cells: 1 PASS, 1 SKIP; 1 not as expected (!)\n")


def test_all_as_expected_is_calm() -> None:
    text = printed([result(S.PASS), result(S.FAIL, S.FAIL, tsm="class-posted")])
    assert "!" not in text
    assert "rerun" not in text
    assert text.endswith("2 cells: 1 FAIL, 1 PASS; all as expected\n")


def test_an_unexpected_result_speaks_for_its_place() -> None:
    seeds = [result(S.PASS, seed=n) for n in range(4)] + [result(S.FAIL, seed=4)]
    assert row(printed(seeds), "R1") == ["R1", "FAIL ! 1/5"]
    assert row(printed(seeds[:4]), "R1") == ["R1", "PASS 4/4"]


def test_kernels_get_a_table_each() -> None:
    text = printed([result(S.PASS), result(S.FAIL, kernel="7.3.4+deb13-cloud-amd64")])
    assert "6.12.117+deb12-cloud-amd64, sev-snp\n" in text
    assert "7.3.4+deb13-cloud-amd64, sev-snp\n" in text


def test_many_cores_fit_in_80_columns() -> None:
    cores = [result(S.PASS, tsm=f"defect:some-long-name-{n}") for n in range(8)]
    lines = [line for line in printed(cores).splitlines() if line.startswith("|")]
    assert all(len(line) <= 80 for line in lines)


def test_guest_text_cannot_drive_the_terminal() -> None:
    text = printed([result(S.FAIL, detail=HOSTILE)])
    assert "\x1b" not in text
    assert "[bold]" in text
    assert "\x1b[31m[bold]" not in printed([result(S.FAIL, detail=HOSTILE)], terminal=True)


def test_nothing_ran() -> None:
    assert printed([]).strip() == "0 cells: nothing ran"


# --- JSON ---------------------------------------------------------------------------------------

HOST = describe_host(
    harness_version="0.1.0",
    qemu_version="7.2.22",
    accelerator="tcg",
    cpu_flags=["max", "-cx16"],
)


def test_json_schema_1(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.json"
    write_json(path, MIXED, HOST)
    report = json.loads(path.read_text())
    assert list(report) == ["schema", "host", "cells", "summary", "undecided", "notes"]
    assert report["schema"] == 1
    assert report["host"]["cpu_flags"] == ["max", "-cx16"]
    assert report["host"]["cpus"] >= 1
    assert report["summary"]["FAIL"] == 2
    assert len(report["cells"]) == len(MIXED)
    assert report["cells"][2] == {
        "claim": "J1",
        "scenario": "double_free",
        "kernel": "6.12.117+deb12-cloud-amd64",
        "tsm": "class-fixed",
        "provider": "sev-snp",
        "seed": 0,
        "status": "FAIL",
        "expected": "PASS",
        "duration_s": 0.123,
        "detail": "SLUB: Object already free\n  second line",
        "timeline": [],
        "rerun": "tsm-harness run J1 --tsm class-fixed",
        "artifacts": "/out/x",
        "infrastructure_retries": 0,
    }


def test_json_carries_any_text(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, [result(S.FAIL, detail=HOSTILE + "x" * 10**6)], HOST)
    assert path.stat().st_size < 10**6
    assert "[bold]" in json.loads(path.read_text())["cells"][0]["detail"]


def test_json_replaces_in_one_step_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    write_json(path, [], HOST)
    write_json(path, MIXED, HOST)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_json_into_a_pipe_is_written_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_json(path, [], HOST)
        assert json.loads(os.read(reader, 65536))["schema"] == 1
    finally:
        os.close(reader)
    assert path.is_fifo()


def test_unwritable_report_is_the_hosts_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="cannot write the report") as raised:
        write_json(tmp_path / "file" / "report.json", [], HOST)
    assert raised.value.hint


# --- JUnit --------------------------------------------------------------------------------------


def test_junit_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, MIXED, HOST)
    root = ET.parse(path).getroot()
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert len(suites) == 2
    assert root.get("tests") == "7"
    assert (root.get("failures"), root.get("errors")) == ("2", "2")
    suite = suites["6.12.117+deb12-cloud-amd64 / class-fixed / sev-snp"]
    tags = {
        case.get("name"): [child.tag for child in case if child.tag != "properties"]
        for case in suite.iter("testcase")
    }
    assert tags == {
        "R1 double_free": [],
        "J1 double_free": ["failure"],
        "T1 double_free": ["error"],
        "K3 double_free": ["error"],
    }
    failure = next(suite.iter("failure"))
    assert failure.get("message") == "SLUB: Object already free"
    assert "rerun: tsm-harness run J1" in (failure.text or "")


def test_junit_expected_fail_passes_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, [result(S.FAIL, S.FAIL)], HOST)
    [case] = ET.parse(path).getroot().iter("testcase")
    assert [child.tag for child in case] == ["properties"]
    properties = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert properties["status"] == properties["expected"] == "FAIL"


@pytest.mark.parametrize(("expected", "tag"), [(S.SKIP, "skipped"), (S.PASS, "failure")])
def test_junit_fails_a_skip_that_was_not_predicted(
    tmp_path: Path, expected: Status, tag: str
) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, [result(S.SKIP, expected, detail="no kcsan")], HOST)
    [case] = ET.parse(path).getroot().iter("testcase")
    [outcome] = [child for child in case if child.tag != "properties"]
    assert (outcome.tag, outcome.get("message")) == (tag, "no kcsan")


def test_junit_is_xml_whatever_the_guest_printed(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    write_junit(path, [result(S.FAIL, claim=HOSTILE, detail=HOSTILE)], HOST)
    [case] = ET.parse(path).getroot().iter("testcase")
    assert "]]> <a> &" in (case.findtext("failure") or "")


# --- artefacts ----------------------------------------------------------------------------------

EVIDENCE = Evidence(
    console=b"SeaBIOS\r\n[    0.000000] Linux\x00",
    kernel_log=[
        LogRecord(1, 1.5, 3, "T51", "BUG kmalloc-1k\nsecond"),
        LogRecord(2, 2.0, 6, None, "hello", facility=1),
    ],
    transcript=[
        {"type": "REQUEST", "id": 1, "status": 0, "fault": "", "time": 2.0, "blob": b"not JSON"}
    ],
    spans=[Span("one", "read outblob", 1.0, 3.0, "5 bytes")],
    qemu_command=["qemu-system-x86_64", "-append", "a b"],
    versions={"qemu": "7.2.22"},
)


def test_artefacts_hold_everything(tmp_path: Path) -> None:
    directory = write_artifacts(tmp_path, result(S.FAIL), EVIDENCE)
    assert directory is not None
    assert {path.name for path in directory.iterdir()} == {
        "console.log",
        "kernel.log",
        "transcript.jsonl",
        "timeline.txt",
        "timeline.svg",
        "qemu.txt",
        "rerun.txt",
        "versions.json",
        "verdict.json",
    }
    assert (directory / "console.log").read_bytes() == EVIDENCE.console
    assert (directory / "kernel.log").read_text() == (
        "<3>[    1.500000] [T51] BUG kmalloc-1k\n    second\n<6>[    2.000000] (user) hello\n"
    )
    assert (directory / "qemu.txt").read_text() == "qemu-system-x86_64 -append 'a b'\n"
    verdict = json.loads((directory / "verdict.json").read_text())
    assert verdict["status"] == "FAIL"
    assert verdict["artifacts"] == str(directory)
    assert verdict["not_written"] == {}


def test_artefact_directories_are_unique_and_stay_below(tmp_path: Path) -> None:
    cells = [
        Cell("R1", "s", "k", "dir:/x/y", "p"),
        Cell("R1", "s", "k", "dir:/x-y", "p"),
        Cell("../../etc", "..", "k", "t" * 500, "p"),
    ]
    directories = [artifact_directory(tmp_path, cell) for cell in cells]
    assert len(set(directories)) == 3
    assert all(directory.parent == tmp_path for directory in directories)
    assert all(len(directory.name) < 255 for directory in directories)


def test_sizes_are_capped_and_both_ends_kept(tmp_path: Path) -> None:
    console = tmp_path / "console"
    with console.open("wb") as file:
        file.write(b"FIRST")
        file.truncate(3 * MAX_FILE)
        file.seek(0, 2)
        file.write(b"LAST")
    record = LogRecord(0, 0.0, 4, None, "x" * 8000)
    last = LogRecord(0, 0.0, 4, None, "LAST")
    for source in (console, console.read_bytes()):
        evidence = Evidence(console=source, kernel_log=[*[record] * 3000, last])
        directory = write_artifacts(tmp_path / "out", result(S.FAIL), evidence)
        assert directory is not None
        for name in ("console.log", "kernel.log"):
            data = (directory / name).read_bytes()
            assert len(data) <= MAX_FILE + 100
            assert b"bytes left out]" in data
            assert data.rstrip().endswith(b"LAST")
        assert (directory / "console.log").read_bytes().startswith(b"FIRST")


def test_trouble_with_one_file_does_not_cost_the_others(tmp_path: Path) -> None:
    full = Path("/dev/full")
    directory = artifact_directory(tmp_path, result(S.FAIL).cell)
    directory.mkdir()
    (directory / "console.log").symlink_to(full)
    assert write_artifacts(tmp_path, result(S.FAIL), EVIDENCE) == directory
    verdict = json.loads((directory / "verdict.json").read_text())
    assert list(verdict["not_written"]) == ["console.log"]
    assert "No space left" in verdict["not_written"]["console.log"]
    assert (directory / "kernel.log").exists()


def test_a_missing_console_and_a_hopeless_directory_do_not_raise(tmp_path: Path) -> None:
    evidence = Evidence(console=tmp_path / "nowhere")
    assert write_artifacts(tmp_path, result(S.ERROR), evidence) is not None
    (tmp_path / "file").write_text("")
    assert write_artifacts(tmp_path / "file", result(S.ERROR), evidence) is None


# --- KTAP ---------------------------------------------------------------------------------------


def ktap(results: Sequence[CellResult]) -> list[str]:
    return [line.strip() for line in ktap_lines(results)]


def test_ktap_is_nested_and_its_plans_hold() -> None:
    lines = ktap_lines(MIXED)
    assert lines[:2] == ["KTAP version 1", "1..2"]
    counted: list[int] = []
    planned: list[int] = []
    for line in lines[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        words = line.split()
        if line.lstrip().startswith("1.."):
            planned[depth:] = [int(words[0][3:])]
            counted[depth:] = [0]
        elif words[0] in ("ok", "not"):
            number = int(words[1] if words[0] == "ok" else words[2])
            counted[depth] += 1
            assert number == counted[depth] <= planned[depth]
            assert counted[depth + 1 :] == planned[depth + 1 :]
            del counted[depth + 1 :], planned[depth + 1 :]
    assert counted == planned == [2]


def test_ktap_says_what_is_expected_and_what_is_not() -> None:
    expected = ktap([result(S.FAIL, S.FAIL, detail="seen")])
    assert "ok 1 double_free" in expected
    assert expected[expected.index("ok 1 double_free") - 2 :][:2] == [
        "# FAIL, expected FAIL", "# seen",
    ]  # fmt: skip
    surprise = ktap([result(S.FAIL, detail="seen")])
    assert "not ok 1 double_free" in surprise and surprise[-1].startswith("not ok 1 ")
    assert "# rerun: tsm-harness run R1 --tsm class-fixed" in surprise
    assert "ok 1 double_free # SKIP no such attribute" in ktap(
        [result(S.SKIP, S.SKIP, detail="no such attribute")]
    )
    unpredicted = ktap([result(S.SKIP, detail="no such attribute")])
    assert "not ok 1 double_free" in unpredicted and "# no such attribute" in unpredicted
    assert "# SKIP, expected PASS" in unpredicted
    assert not any(line.startswith("ok ") for line in unpredicted)
    for undecided in (S.ERROR, S.MISS):
        assert "not ok 1 double_free" in ktap([result(undecided)])


def test_ktap_cannot_be_broken_by_a_guest(tmp_path: Path) -> None:
    evil = "\nok 1 all # SKIP\nKTAP version 1\n1..9\nBail out!" + HOSTILE
    write_ktap(tmp_path / "r.ktap", [result(S.FAIL, detail=evil, claim="R1 # SKIP\nok 2")])
    text = (tmp_path / "r.ktap").read_text()
    real = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert len(real) == 9
    assert not any("Bail" in line or "SKIP" in line.partition("#")[2] for line in real)


# --- HTML ---------------------------------------------------------------------------------------


def test_html_is_one_file_with_the_evidence(tmp_path: Path) -> None:
    bad = result(S.FAIL, detail="<b>seen</b>")
    directory = write_artifacts(tmp_path / "artifacts", bad, EVIDENCE)
    shown = dataclasses.replace(bad, artifacts=directory)
    path = tmp_path / "report.html"
    write_html(path, [shown, result(S.PASS, tsm="class-posted")], HOST, {"S4": "text"}, ["a note"])
    text = path.read_text()
    assert (
        "src=" not in text
        and "<link" not in text
        and "http" not in text.replace("http://www.w3.org/2000/svg", "")
    )
    assert '<a href="#r0">FAIL' in text and 'id="r0" open' in text
    assert "&lt;b&gt;seen" in text and "<b>seen" not in text
    assert "<svg" in text and "BUG kmalloc-1k" in text and "qemu-system-x86_64" in text
    assert "tsm-harness run R1 --tsm class-fixed" in text
    assert "1 not as expected" in text and "a note" in text and "S4" in text


def test_html_cannot_be_broken_by_a_guest(tmp_path: Path) -> None:
    evil = "</pre><script>alert(1)</script>" + HOSTILE
    hostile = dataclasses.replace(
        EVIDENCE,
        kernel_log=[LogRecord(1, 1.0, 3, None, evil)],
        transcript=[],
        spans=[Span("one", evil, 1.0, 2.0, evil)],
    )
    bad = result(S.FAIL, detail=evil)
    directory = write_artifacts(tmp_path / "artifacts", bad, hostile)
    write_html(tmp_path / "r.html", [dataclasses.replace(bad, artifacts=directory)], HOST)
    assert "<script>alert" not in (tmp_path / "r.html").read_text()


def test_html_without_evidence_or_results(tmp_path: Path) -> None:
    gone = dataclasses.replace(result(S.ERROR), artifacts=tmp_path / "gone")
    for results in ([], [gone], MIXED):
        write_html(tmp_path / "r.html", results, HOST)
        assert "</html>" in (tmp_path / "r.html").read_text()
