# SPDX-License-Identifier: MIT
"""Verdicts: exit status, the table on the terminal, and the directory of artifacts."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.oracle.records import LogRecord
from harness.report.artifacts import MAX_FILE, Evidence, artifact_directory, write_artifacts
from harness.report.legend import legend
from harness.report.table import print_report
from harness.report.timeline import Span
from harness.verdict import (
    Cause,
    Cell,
    CellResult,
    ClaimSummary,
    RunResult,
    SourceExcerpt,
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


def printed(
    results: Sequence[CellResult],
    *,
    terminal: bool = False,
    verbose: bool = False,
    claims: Mapping[str, ClaimSummary] | None = None,
) -> str:
    out = io.StringIO()
    run = RunResult(results, claims=claims or {})
    print_report(run, Console(file=out, width=80, force_terminal=terminal), verbose=verbose)
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


def test_results_that_are_not_as_expected_and_a_few_known_fails_have_details() -> None:
    text = printed(MIXED)
    assert text.count("  rerun: ") == 5
    assert text.count("  as expected: this implementation is known to break the claim\n") == 1
    assert (
        "  seen: SLUB: Object already free\n      second line\n  expected PASS, got FAIL\n" in text
    )
    assert "  rerun: tsm-harness run T1 --tsm class-fixed\n" in text
    assert "what happened" not in text.split("FAIL J1")[0].split("ERROR")[0]
    assert "\nSKIP T1 on class-posted: no such attribute\n" in text
    assert "  recorded: /out/x\n" in text
    last = text.splitlines()[-1]
    assert last == "7 cells: 2 FAIL, 1 ERROR, 1 MISS, 2 PASS, 1 SKIP; 2 not as expected (!)"


def test_a_skip_that_was_not_predicted_is_explained_like_a_fail() -> None:
    text = printed([result(S.PASS), result(S.SKIP, tsm="mainline", detail="no attribute format")])
    assert row(text, "R1") == ["R1", "PASS", "SKIP !"]
    assert "  no attribute format\n  expected PASS, got SKIP\n" in text
    assert "  rerun: tsm-harness run R1 --tsm mainline\n" in text
    assert text.endswith("2 cells: 1 PASS, 1 SKIP; 1 not as expected (!)\n")


def test_many_known_fails_have_no_details() -> None:
    known = [result(S.FAIL, S.FAIL, tsm="class-posted", seed=seed) for seed in range(4)]
    text = printed([result(S.PASS), *known])
    assert "!" not in text
    assert "rerun" not in text
    assert text.endswith("5 cells: 4 FAIL, 1 PASS; all as expected\n")


def test_every_known_fail_has_details_when_they_are_asked_for() -> None:
    known = [result(S.FAIL, S.FAIL, tsm="class-posted", seed=seed) for seed in range(4)]
    assert printed(known, verbose=True).count("  rerun: ") == 4


CLAIMS = {
    "R1": ClaimSummary("It is freed once.", "Roy", "https://lore.kernel.org/r/1@example"),
    "J1": ClaimSummary("Readers share it.", "reading the code"),
}
QUOTE = SourceExcerpt("outblob_read", "implementation/tsm.c", 9, 8, ("{", "\tkvfree(blob);", "}"))
SPLAT = Cause("SLUB", "Object already free", "outblob_read")


def test_a_fail_says_first_what_is_demanded_and_what_was_seen() -> None:
    fail = dataclasses.replace(result(S.FAIL), source=QUOTE, timeline=("0.0 ms  x",))
    lines = printed([fail], claims=CLAIMS).split("\nFAIL R1 ")[1].splitlines()
    assert lines[1:] == [
        "  demand: It is freed once.",
        "    from: Roy, https://lore.kernel.org/r/1@example",
        "  seen: what happened",
        "  source: implementation/tsm.c:9, in outblob_read()",
        "       8 {",
        "    >  9         kvfree(blob);",
        "      10 }",
        "  expected PASS, got FAIL",
        "  timeline, its end; timeline.txt in the recorded directory has all:",
        "    0.0 ms  x",
        "  rerun: tsm-harness run R1 --tsm class-fixed",
        "  recorded: /out/x",
        "",
        "1 cell: 1 FAIL; 1 not as expected (!)",
    ]


def test_an_error_says_nothing_about_the_demand() -> None:
    text = printed([result(S.ERROR, detail="harness: no disk")], claims=CLAIMS)
    assert "demand:" not in text
    assert "seen:" not in text
    assert "\n  harness: no disk\n" in text


def test_a_claim_that_was_found_by_reading_has_no_link() -> None:
    text = printed([result(S.FAIL, claim="J1")], claims=CLAIMS)
    assert "    from: reading the code\n" in text


def test_the_end_of_a_long_timeline_is_shown() -> None:
    fail = dataclasses.replace(result(S.FAIL), timeline=tuple(f"event {n}" for n in range(14)))
    text = printed([fail])
    assert "timeline, its end;" in text
    assert "event 1\n" not in text
    assert "event 2\n" in text
    assert "event 0\n" in printed([fail], verbose=True)


def test_a_long_detail_keeps_its_start_and_end() -> None:
    fail = result(S.FAIL, detail="\n".join(f"line {n}" for n in range(40)))
    text = printed([fail])
    assert "  seen: line 0\n" in text
    assert "    line 39\n" in text
    assert "line 20\n" not in text
    assert "[26 lines left out; verdict.json in the recorded directory has all]" in text
    assert "line 20\n" in printed([fail], verbose=True)


def test_a_splat_that_breaks_several_claims_is_shown_once() -> None:
    first, second = (
        dataclasses.replace(result(S.FAIL, claim=claim), source=QUOTE, cause=SPLAT, timeline=("x",))
        for claim in ("R1", "J1")
    )
    text = printed([first, second], claims=CLAIMS)
    assert text.count("kvfree(blob)") == text.count("timeline,") == 1
    assert "  demand: Readers share it.\n" in text
    assert (
        "  seen: SLUB: Object already free in outblob_read(), as in R1 double_free above\n" in text
    )
    assert text.count("  rerun: ") == text.count("  recorded: ") == 2
    others = [
        dataclasses.replace(second, cause=dataclasses.replace(SPLAT, function="unregister")),
        dataclasses.replace(second, cell=dataclasses.replace(second.cell, tsm="mainline")),
        dataclasses.replace(second, cause=Cause("ClaimViolatedError", "", "test_x", 3)),
    ]
    for other in others:
        assert printed([first, other]).count("kvfree(blob)") == 2


def test_a_known_defect_that_is_gone_is_called_fixed() -> None:
    gone = "fixed here: this kernel does not have the defect that other kernels are known to have"
    assert f"  expected FAIL, got PASS\n  {gone}\n" in printed(
        [result(S.PASS, S.FAIL, tsm="mainline", detail="")]
    )
    missed = printed([result(S.PASS, S.FAIL, tsm="defect:double-free", detail="")])
    assert "fixed here" not in missed
    assert "  the scenario did not notice the defect that this implementation" in missed


def test_a_patch_is_not_called_known_to_break_a_claim() -> None:
    text = printed([result(S.FAIL, S.FAIL, tsm="patch:x.mbox", detail="why")])
    assert "  as expected\n" in text


def test_the_legend_explains_the_marks_that_appear() -> None:
    text = printed(MIXED)
    for line in (
        "FAIL: the demand does not hold; ERROR: the harness could not decide; MISS: not run; "
        "PASS: the demand holds; SKIP: does not apply here",
        "! not as expected; - no scenario of this claim was run here",
    ):
        assert f"\n{line}\n" in text
    assert "\nPASS: the demand holds\n\n" in printed([result(S.PASS)])
    assert "\n4/4 how many of the claim's results have this verdict\n" in printed(
        [result(S.PASS, seed=n) for n in range(4)]
    )
    assert "another verdict than before" in "".join(legend(["FAIL <"]))
    assert printed([]).strip() == "0 cells: nothing ran"


def test_claims_that_were_skipped_for_one_reason_share_a_line() -> None:
    def skip(claim: str, tsm: str = "class-fixed", detail: str = "no privlevel") -> CellResult:
        return result(S.SKIP, S.SKIP, claim=claim, tsm=tsm, detail=detail)

    one = [result(S.PASS), skip("T1"), skip("K3"), skip("F1", detail="of configfs")]
    text = printed(one)
    assert "\nSKIP T1, K3: no privlevel\nSKIP F1: of configfs\n\n4 cells" in text
    two = [*one, skip("T1", "mainline"), skip("K3", "mainline", "why")]
    text = printed(two)
    assert "\nSKIP T1 on class-fixed, mainline: no privlevel\n" in text
    assert "\nSKIP K3 on class-fixed: no privlevel\n" in text
    assert "\nSKIP K3 on mainline: why\n" in text


def test_a_skipped_claim_has_the_reason_of_the_interface_under_test() -> None:
    reasons = ("the claim is about the class interface only", "needs generation")
    for details in (reasons, reversed(reasons)):
        skips = [result(S.SKIP, S.SKIP, claim="T1", detail=detail) for detail in details]
        assert "\nSKIP T1: needs generation\n" in printed(skips)


def test_a_claim_that_another_scenario_decides_is_not_skipped() -> None:
    other = result(S.SKIP, S.SKIP, detail="of configfs")
    assert "of configfs" not in printed([result(S.PASS), other])


def test_several_skips_that_were_not_predicted_share_an_entry() -> None:
    skips = [result(S.SKIP, claim=claim, detail="needs x") for claim in ("R1", "J1", "J1")]
    text = printed([result(S.PASS, claim="T1"), *skips])
    assert text.count("\n  needs x\n") == 1
    assert "  and 2 more SKIP for the same reason: J1\n" in text


def test_claims_without_a_scenario_are_named_on_request() -> None:
    run = RunResult([result(S.PASS)], undecided={"S4": "it is about documentation"})
    for verbose in (False, True):
        out = io.StringIO()
        print_report(run, Console(file=out), verbose=verbose)
        assert ("S4 (it is about documentation)" in out.getvalue()) is verbose


def test_an_unexpected_result_is_shown_for_all_seeds() -> None:
    seeds = [result(S.PASS, seed=n) for n in range(4)] + [result(S.FAIL, seed=4)]
    assert row(printed(seeds), "R1") == ["R1", "FAIL ! 1/5"]
    assert row(printed(seeds[:4]), "R1") == ["R1", "PASS 4/4"]


def test_each_kernel_has_a_table() -> None:
    text = printed([result(S.PASS), result(S.FAIL, kernel="7.3.4+deb13-cloud-amd64")])
    assert "6.12.117+deb12-cloud-amd64, sev-snp\n" in text
    assert "7.3.4+deb13-cloud-amd64, sev-snp\n" in text


def test_many_implementations_fit_into_80_columns() -> None:
    many = [result(S.PASS, tsm=f"defect:some-long-name-{n}") for n in range(8)]
    lines = [line for line in printed(many).splitlines() if line.startswith("|")]
    assert all(len(line) <= 80 for line in lines)


def test_control_characters_of_a_guest_do_not_reach_the_terminal() -> None:
    text = printed([result(S.FAIL, detail=HOSTILE)])
    assert "\x1b" not in text
    assert "[bold]" in text
    assert "\x1b[31m[bold]" not in printed([result(S.FAIL, detail=HOSTILE)], terminal=True)


def test_nothing_ran() -> None:
    assert printed([]).strip() == "0 cells: nothing ran"


# --- artifacts ----------------------------------------------------------------------------------

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


def test_artifacts_hold_everything(tmp_path: Path) -> None:
    directory = write_artifacts(tmp_path, result(S.FAIL), EVIDENCE)
    assert directory is not None
    assert {path.name for path in directory.iterdir()} == {
        "console.log",
        "kernel.log",
        "transcript.jsonl",
        "timeline.txt",
        "timeline.json",
        "timeline.html",
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


@pytest.mark.parametrize(
    ("evidence", "lines"),
    [
        (replace(EVIDENCE, console=b""), ["console.log: the serial console was silent"]),
        (replace(EVIDENCE, kernel_log=[]), ["kernel.log: the kernel logged nothing"]),
        (
            Evidence(versions={"qemu": "7.2.22"}),
            [
                f"{name}: no guest ran for this verdict"
                for name in ("console.log", "kernel.log", "transcript.jsonl")
            ],
        ),
    ],
)
def test_artifacts_say_what_is_left_out(
    tmp_path: Path, evidence: Evidence, lines: list[str]
) -> None:
    directory = write_artifacts(tmp_path, result(S.FAIL), evidence)
    assert directory is not None
    left_out = (directory / "left-out.txt").read_text().splitlines()
    assert all(any(found.startswith(line) for found in left_out) for line in lines)
    assert all(not (directory / line.partition(":")[0]).exists() for line in left_out)
    write_artifacts(tmp_path, result(S.FAIL), EVIDENCE)
    assert not (directory / "left-out.txt").exists()


def test_artifact_directories_are_unique_and_below_the_root(tmp_path: Path) -> None:
    cells = [
        Cell("R1", "s", "k", "dir:/x/y", "p"),
        Cell("R1", "s", "k", "dir:/x-y", "p"),
        Cell("../../etc", "..", "k", "t" * 500, "p"),
    ]
    directories = [artifact_directory(tmp_path, cell) for cell in cells]
    assert len(set(directories)) == 3
    assert all(directory.parent == tmp_path for directory in directories)
    assert all(len(directory.name) < 255 for directory in directories)


def test_a_large_file_keeps_its_start_and_end(tmp_path: Path) -> None:
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


def test_a_file_that_cannot_be_written_does_not_affect_the_others(tmp_path: Path) -> None:
    full = Path("/dev/full")
    directory = artifact_directory(tmp_path, result(S.FAIL).cell)
    directory.mkdir()
    (directory / "console.log").symlink_to(full)
    assert write_artifacts(tmp_path, result(S.FAIL), EVIDENCE) == directory
    verdict = json.loads((directory / "verdict.json").read_text())
    assert list(verdict["not_written"]) == ["console.log"]
    assert "No space left" in verdict["not_written"]["console.log"]
    assert (directory / "kernel.log").exists()


def test_a_missing_console_and_an_unwritable_directory_do_not_raise(tmp_path: Path) -> None:
    evidence = Evidence(console=tmp_path / "nowhere")
    assert write_artifacts(tmp_path, result(S.ERROR), evidence) is not None
    (tmp_path / "file").write_text("")
    assert write_artifacts(tmp_path / "file", result(S.ERROR), evidence) is None
