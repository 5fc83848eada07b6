# SPDX-License-Identifier: MIT
"""The file formats of a run report: valid, complete, and safe with any text of a guest."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from harness.errors import HarnessError, HostError
from harness.report import run_json
from harness.report.format import Format
from harness.report.formats import formats, json_format, junit_format, ktap_format
from harness.report.formats.ktap_format import ktap_lines
from harness.report.host import describe_host
from harness.report.run_json import run_as_json, run_from_json
from harness.verdict import (
    Cause,
    CellResult,
    ClaimSummary,
    Pair,
    Patchset,
    RunResult,
    SourceExcerpt,
    Status,
)
from tests.test_report import HOSTILE, MIXED, S, result

HOST = describe_host(
    harness_version="0.1.0",
    qemu_version="7.2.22",
    accelerator="tcg",
    cpu_flags=["max", "-cx16"],
)
RUN = RunResult(MIXED, HOST)


# --- every format -------------------------------------------------------------------------------


def test_every_module_of_a_format_is_found() -> None:
    files = (Path(run_json.__file__).parent / "formats").glob("*_format.py")
    assert [each.name for each in formats()] == sorted(
        file.stem.removesuffix("_format") for file in files
    )


@pytest.mark.parametrize("each", formats(), ids=lambda each: each.name)
def test_every_format_writes_every_run(each: Format, tmp_path: Path) -> None:
    arguments = {name: argument.default for name, argument in each.arguments.items()}
    without_files = dataclasses.replace(result(S.ERROR), artifacts=tmp_path / "gone")
    for results in ([], [without_files], MIXED):
        each.write(tmp_path / "out", RunResult(results, HOST), **arguments)
        assert (tmp_path / "out").stat().st_size
    with pytest.raises(HostError, match="cannot write") as raised:
        each.write(tmp_path / "out" / "below", RUN, **arguments)
    assert raised.value.hint


# --- JSON ---------------------------------------------------------------------------------------

SCHEMA_FILE = Path(run_json.__file__).parent / "run.schema.json"
FULL = RunResult(
    [
        dataclasses.replace(
            result(S.FAIL, claim="J1", detail="SLUB: Object already free\n  second line"),
            cause=Cause("SLUB", "Object already free", "outblob_read"),
            source=SourceExcerpt(
                "outblob_read", "implementation/tsm.c", 2, 2, ("\tkvfree(blob);",)
            ),
            timeline=("0.0 ms  provider  the driver registers",),
            infrastructure_retries=1,
        ),
        dataclasses.replace(result(S.SKIP), artifacts=None),
    ],
    HOST,
    interrupted=True,
    notes=["shim: class_create()"],
    claims={"J1": ClaimSummary("A demand.", "a reviewer", "https://lore.kernel.org/r/1@example")},
    undecided={"S4": "documentation"},
    pairs=(Pair("tsm", "class-posted", "class-fixed", is_base=True),),
    command="tsm-harness run",
    date="2026-01-02T03:04:05+00:00",
    subjects={"class-fixed": "tsm: a subject"},
    patchsets={"class-fixed": Patchset("tsm: a subject", "1@example.org", ("0" * 64,))},
)


def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(SCHEMA_FILE.read_bytes())
    return document


def closed(document: object) -> object:
    """Return the schema, changed so that it refuses keys that it does not describe."""
    if isinstance(document, list):
        return [closed(each) for each in document]
    if not isinstance(document, dict):
        return document
    strict = {key: closed(value) for key, value in document.items()}
    if document.get("type") == "object":
        strict.setdefault("additionalProperties", False)
    return strict


@pytest.mark.parametrize("run", [RunResult([], HOST), RUN, FULL])
def test_json_is_valid_and_every_key_is_described(tmp_path: Path, run: RunResult) -> None:
    json_format.write(tmp_path / "new" / "run.json", run)
    document = json.loads((tmp_path / "new" / "run.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(document, closed(schema()))  # type: ignore[arg-type] # a dict


def test_schema_refuses_other_documents() -> None:
    document = json.loads(json.dumps(run_as_json(FULL)))
    cell = document["cells"][0]
    for wrong in (
        document | {"schema": 1},
        {key: value for key, value in document.items() if key != "summary"},
        document | {"cells": [cell | {"status": "GOOD"}]},
        document | {"cells": [{key: cell[key] for key in cell if key != "expected"}]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema())


def test_json_has_the_documented_values() -> None:
    document = run_as_json(FULL)
    assert list(document) == [
        "schema", "host", "interrupted", "cells", "summary", "claims", "undecided", "notes",
        "command", "date", "subjects", "patchsets", "comparisons",
    ]  # fmt: skip
    assert document["schema"] == 2
    assert document["summary"] == {"FAIL": 1, "ERROR": 0, "MISS": 0, "PASS": 0, "SKIP": 1}
    assert document["cells"][0] == {  # type: ignore[index] # a list
        "claim": "J1",
        "scenario": "double_free",
        "kernel": "6.12.117+deb12-cloud-amd64",
        "tsm": "class-fixed",
        "provider": "sev-snp",
        "seed": 0,
        "status": "FAIL",
        "expected": "PASS",
        "as_expected": False,
        "duration_s": 0.123,
        "detail": "SLUB: Object already free\n  second line",
        "cause": {
            "kind": "SLUB", "subject": "Object already free", "function": "outblob_read", "line": 0
        },
        "source": {
            "function": "outblob_read", "file": "implementation/tsm.c", "line": 2, "first": 2,
            "lines": ("\tkvfree(blob);",),
        },
        "timeline": ["0.0 ms  provider  the driver registers"],
        "rerun": "tsm-harness run J1 --tsm class-fixed",
        "artifacts": "/out/x",
        "infrastructure_retries": 1,
    }  # fmt: skip


def test_json_tells_what_changed() -> None:
    pair = Pair("tsm", "class-posted", "class-fixed")
    results = [
        *(result(S.FAIL, tsm="class-posted", seed=seed, detail="freed twice") for seed in (0, 1)),
        *(result(S.PASS, seed=seed) for seed in (0, 1)),
        result(S.PASS, claim="J1", tsm="class-posted"),
        result(S.PASS, claim="J1"),
    ]
    document = json.loads(json.dumps(run_as_json(RunResult(results, HOST, pairs=[pair]))))
    jsonschema.validate(document, closed(schema()))  # type: ignore[arg-type] # a dict
    [comparison] = document["comparisons"]
    assert comparison == {
        "axis": "tsm",
        "before": "class-posted",
        "after": "class-fixed",
        "is_base": False,
        "counts": {
            "broken": 0, "fixed": 1, "unstable": 0, "still failing": 0, "not compared": 0,
            "unchanged": 1,
        },
        "changes": [
            {
                "claim": "R1",
                "scenario": "double_free",
                "kernel": "6.12.117+deb12-cloud-amd64",
                "provider": "sev-snp",
                "change": "fixed",
                "before": {"FAIL": 2},
                "after": {"PASS": 2},
                "evidence": "FAIL before: freed twice",
            }
        ],
    }  # fmt: skip


def test_json_is_read_back() -> None:
    text = json.dumps(run_as_json(FULL)).encode()
    [fail, skip] = run_from_json(text).results
    assert fail == dataclasses.replace(FULL.results[0], duration_s=0.123)
    assert skip == dataclasses.replace(FULL.results[1], duration_s=0.123)
    assert dataclasses.replace(run_from_json(text), results=()) == dataclasses.replace(
        FULL, results=()
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not a run report"),
        (b"[]", "not a run report"),
        (b"[" * 100_000, "not a run report"),
        (b'{"schema": 1, "cells": []}', "has schema 1; this harness reads schema 2"),
        (b'{"schema": 2}', "missing or wrong"),
        (b'{"schema": 2, "cells": [1], "host": {}}', "missing or wrong"),
    ],
)
def test_another_document_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(HarnessError, match=message):
        run_from_json(text)


def test_json_carries_any_text(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    json_format.write(path, RunResult([result(S.FAIL, detail=HOSTILE + "x" * 10**6)], HOST))
    assert path.stat().st_size < 10**6
    assert "[bold]" in json.loads(path.read_text())["cells"][0]["detail"]


def test_file_is_replaced_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    json_format.write(path, RunResult([], HOST))
    json_format.write(path, RUN)
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        json_format.write(path, RunResult([], HOST))
        assert json.loads(os.read(reader, 65536))["schema"] == 2
    finally:
        os.close(reader)
    assert path.is_fifo()


# --- JUnit --------------------------------------------------------------------------------------


def test_junit_outcomes(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    junit_format.write(path, RUN)
    root = ET.parse(path).getroot()
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert len(suites) == 2
    assert root.get("tests") == "7"
    assert (root.get("failures"), root.get("errors")) == ("2", "2")
    suite = suites["6.12.117+deb12-cloud-amd64 / class-fixed / sev-snp"]
    tags = {
        case.get("name"): [child.tag for child in case if child.tag != "system-out"]
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


def test_junit_passes_an_expected_fail_with_its_status(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    junit_format.write(path, RunResult([result(S.FAIL, S.FAIL)], HOST))
    [case] = ET.parse(path).getroot().iter("testcase")
    assert [child.tag for child in case] == ["system-out"]
    output = (case.findtext("system-out") or "").splitlines()
    assert {"status: FAIL", "expected: FAIL"} <= set(output)


@pytest.mark.parametrize(("expected", "tag"), [(S.SKIP, "skipped"), (S.PASS, "failure")])
def test_junit_fails_a_skip_that_was_not_predicted(
    tmp_path: Path, expected: Status, tag: str
) -> None:
    path = tmp_path / "junit.xml"
    junit_format.write(path, RunResult([result(S.SKIP, expected, detail="no kcsan")], HOST))
    [case] = ET.parse(path).getroot().iter("testcase")
    [outcome] = [child for child in case if child.tag != "system-out"]
    assert (outcome.tag, outcome.get("message")) == (tag, "no kcsan")


def test_junit_is_valid_xml_for_any_text_of_a_guest(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    junit_format.write(path, RunResult([result(S.FAIL, claim=HOSTILE, detail=HOSTILE)], HOST))
    [case] = ET.parse(path).getroot().iter("testcase")
    assert "]]> <a> &" in (case.findtext("failure") or "")


_JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"testsuite"}, set(), {"name", "time", "tests", "failures", "errors"}),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors"},
        {
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
            "group",
        },
    ),
    "properties": ({"property"}, set(), set()),
    "property": (set(), {"name", "value"}, set()),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"},
        {"name"},
        {"time", "classname", "group"},
    ),
    "failure": (set(), set(), {"type", "message"}),
    "error": (set(), set(), {"type", "message"}),
    "skipped": (set(), set(), {"type", "message"}),
    "system-out": (set(), set(), set()),
}
"""By element: its children, the attributes that it must have, those that it may have."""


def jenkins_refuses(root: ET.Element) -> list[str]:
    """Return what the schema of Jenkins' xunit plugin (junit-10.xsd) does not allow."""
    problems = []
    for element in root.iter():
        children, required, optional = _JUNIT[element.tag]
        problems += [f"<{c.tag}> in <{element.tag}>" for c in element if c.tag not in children]
        attributes = set(element.keys())
        problems += [f"{element.tag}: {name} is missing" for name in required - attributes]
        problems += [f"{element.tag}: {name}" for name in attributes - required - optional]
        if not re.fullmatch(r"[0-9]*(\.[0-9]*)?", element.get("time", "")):
            problems.append(f"{element.tag}: time {element.get('time')}")
    return problems


@pytest.mark.parametrize("run", [RunResult([], HOST), RUN, FULL])
def test_junit_is_valid_for_jenkins(tmp_path: Path, run: RunResult) -> None:
    junit_format.write(tmp_path / "junit.xml", run)
    assert not jenkins_refuses(ET.parse(tmp_path / "junit.xml").getroot())


def test_a_document_that_jenkins_refuses_is_noticed() -> None:
    text = (
        '<testsuites skipped="1"><testsuite name="a" tests="1" failures="0" errors="0" time="1e-3">'
        "<testcase><properties /></testcase></testsuite></testsuites>"
    )
    assert jenkins_refuses(ET.fromstring(text)) == [
        "testsuites: skipped",
        "testsuite: time 1e-3",
        "<properties> in <testcase>",
        "testcase: name is missing",
    ]


# --- identities ---------------------------------------------------------------------------------


def names_of(name: str, path: Path) -> list[str]:
    """Return the name of every result that a format has written, with the groups it is in."""
    if name == "junit":
        cases = ET.parse(path).getroot().iter("testcase")
        return [f"{case.get('classname')} {case.get('name')}" for case in cases]
    if name == "json":
        cells = json.loads(path.read_bytes())["cells"]
        return [str([cell[key] for key in run_json._CELL]) for cell in cells]
    if name == "kcidb":
        return [test["id"] for test in json.loads(path.read_bytes())["tests"]]
    groups: list[str] = []
    names = []
    for line in path.read_text().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        if "# Subtest: " in line:
            groups[depth - 1 :] = [line.partition(": ")[2]]
        elif depth == 2 and not line.lstrip().startswith(("#", "1..", "KTAP")):
            names.append(" ".join([*groups[:2], line.partition("ok ")[2].partition(" ")[2]]))
    return names


@pytest.mark.parametrize("name", ["json", "junit", "ktap", "kcidb"])
def test_every_repetition_and_kernel_has_a_name_of_its_own(name: str, tmp_path: Path) -> None:
    results = [
        result(S.PASS, claim=claim, kernel=kernel, seed=seed)
        for claim in ("R1", "J1")
        for kernel in ("6.12 (a/bzImage)", "6.12 (b/bzImage)")
        for seed in range(3)
    ]
    [chosen] = [each for each in formats() if each.name == name]
    arguments = {key: argument.default for key, argument in chosen.arguments.items()}
    chosen.write(tmp_path / "out", RunResult(results, HOST), **arguments)
    names = names_of(name, tmp_path / "out")
    assert len(names) == len(set(names)) == len(results)


# --- KTAP ---------------------------------------------------------------------------------------


def ktap(results: Sequence[CellResult]) -> list[str]:
    return [line.strip() for line in ktap_lines(results)]


def test_ktap_is_nested_with_correct_plans() -> None:
    lines = ktap_lines(MIXED)
    assert lines[:2] == ["KTAP version 1", "1..2"]
    counted: list[int] = []
    planned: list[int] = []
    for line in lines[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        parts = line.split()
        if line.lstrip().startswith("1.."):
            planned[depth:] = [int(parts[0][3:])]
            counted[depth:] = [0]
        elif parts[0] in ("ok", "not"):
            number = int(parts[1] if parts[0] == "ok" else parts[2])
            counted[depth] += 1
            assert number == counted[depth] <= planned[depth]
            assert counted[depth + 1 :] == planned[depth + 1 :]
            del counted[depth + 1 :], planned[depth + 1 :]
    assert counted == planned == [2]


def test_ktap_shows_expected_and_unexpected_results() -> None:
    expected = ktap([result(S.FAIL, S.FAIL, detail="seen")])
    line = "ok 1 double_free # XFAIL seen"
    assert expected[expected.index(line) - 2 :][:2] == ["# FAIL, expected FAIL", "# seen: seen"]
    assert expected[-2:] == ["ok 1 R1", "ok 1 6.12.117+deb12-cloud-amd64,_class-fixed,_sev-snp"]
    unexpected = ktap([result(S.FAIL, detail="seen")])
    assert "not ok 1 double_free" in unexpected and unexpected[-1].startswith("not ok 1 ")
    assert "# rerun: tsm-harness run R1 --tsm class-fixed" in unexpected
    assert "ok 1 double_free # SKIP no such attribute" in ktap(
        [result(S.SKIP, S.SKIP, detail="no such attribute")]
    )
    unpredicted = ktap([result(S.SKIP, detail="no such attribute")])
    assert "not ok 1 double_free" in unpredicted and "# no such attribute" in unpredicted
    assert "# SKIP, expected PASS" in unpredicted
    assert not any(line.startswith("ok ") for line in unpredicted)
    for undecided in (S.ERROR, S.MISS):
        assert "not ok 1 double_free # ERROR what happened" in ktap([result(undecided)])
    assert "not ok 1 double_free" in ktap([result(S.PASS, S.FAIL)])


EXPLAINED = dataclasses.replace(
    FULL, results=[dataclasses.replace(FULL.results[0], expected=S.PASS)]
)
EXPLANATION = (
    "demand: A demand.",
    "  from: a reviewer, https://lore.kernel.org/r/1@example",
    "seen: SLUB: Object already free",
    "    second line",
    "source: implementation/tsm.c:2, in outblob_read()",
    "  > 2 kvfree(blob);",
)


def test_ktap_explains_a_fail() -> None:
    lines = ktap_lines(EXPLAINED.results, EXPLAINED.claims)
    start = next(n for n, line in enumerate(lines) if "# FAIL, expected PASS" in line) + 1
    shown = [line.strip() for line in lines[start : start + len(EXPLANATION)]]
    assert shown == [f"# {line}" for line in EXPLANATION]


@pytest.mark.parametrize("expected", [S.PASS, S.FAIL])
def test_junit_explains_a_fail(tmp_path: Path, expected: Status) -> None:
    fail = dataclasses.replace(EXPLAINED.results[0], expected=expected)
    junit_format.write(tmp_path / "junit.xml", dataclasses.replace(EXPLAINED, results=[fail]))
    [case] = ET.parse(tmp_path / "junit.xml").iter("testcase")
    text = case.findtext("failure" if expected is S.PASS else "system-out") or ""
    assert "\n".join(EXPLANATION) in text


def test_ktap_tells_what_changed_before_the_plan(tmp_path: Path) -> None:
    results = [result(S.FAIL, S.FAIL, tsm="class-posted"), result(S.PASS)]
    pairs = [Pair("tsm", "class-posted", "class-fixed")]
    ktap_format.write(tmp_path / "out", RunResult(results, pairs=pairs))
    header, answer, *others = (tmp_path / "out").read_text().splitlines()
    assert header == "KTAP version 1"
    assert answer.startswith("# class-fixed against class-posted: 1 fixed, 0 broken")
    assert others[: others.index("1..2")] == [
        "#   fixed: R1", "#     R1 double_free: FAIL before: what happened",
    ]  # fmt: skip


KUNIT_RESULT = re.compile(r"\s*(ok|not ok) [0-9]+ (?:- )?([^#]*)(?: # .*)?")
KUNIT_SKIP = re.compile(r"\s*(ok|not ok) [0-9]+ (?:- )?(.*) # SKIP(.*)")
"""What tools/testing/kunit/kunit_parser.py takes for a result, and for a skipped one."""


def kunit_reads(line: str) -> tuple[str, str]:
    """Return the name and the outcome that the kernel's parser finds in a result line."""
    found = KUNIT_RESULT.fullmatch(line)
    assert found is not None, line
    skipped = KUNIT_SKIP.fullmatch(line)
    if skipped is not None:
        return skipped[2], "skipped"
    return found[2], "passed" if found[1] == "ok" else "failed"


@pytest.mark.parametrize("detail", ["seen", "# SKIP not really", "a # SKIP b # c", "#"])
@pytest.mark.parametrize(
    ("status", "expected", "outcome"),
    [
        (S.FAIL, S.FAIL, "passed"),
        (S.FAIL, S.PASS, "failed"),
        (S.PASS, S.FAIL, "failed"),
        (S.SKIP, S.SKIP, "skipped"),
        (S.SKIP, S.PASS, "failed"),
        (S.ERROR, S.PASS, "failed"),
    ],
)
def test_the_parser_of_the_kernel_reads_the_outcome(
    detail: str, status: Status, expected: Status, outcome: str
) -> None:
    lines = ktap([result(status, expected, detail=detail)])
    [line] = [each for each in lines if " double_free" in each]
    assert kunit_reads(line) == ("double_free", outcome)


def test_a_skip_directive_inside_a_reason_is_noticed() -> None:
    assert kunit_reads("ok 1 name # XFAIL a # SKIP b") == ("name # XFAIL a", "skipped")


@pytest.mark.parametrize(
    "text", ["Subtest: x", "reboot: System halted", "Kernel panic - not syncing: VFS: x"]
)
def test_a_diagnostic_neither_begins_nor_ends_anything(text: str) -> None:
    lines = ktap([result(S.FAIL, detail=text)])
    assert not any(text in line for line in lines if "# Subtest: " in line)
    ends = re.compile(
        "List of all partitions:|Kernel panic - not syncing: VFS:|reboot: System halted"
    )
    assert not any(ends.search(line) for line in lines)
    assert ends.search(text) or text.startswith("Subtest")


def test_ktap_is_valid_for_any_text_of_a_guest(tmp_path: Path) -> None:
    text_of_guest = "\nok 1 all # SKIP\nKTAP version 1\n1..9\nBail out!" + HOSTILE
    hostile = result(S.FAIL, detail=text_of_guest, claim="R1 # SKIP\nok 2")
    ktap_format.write(tmp_path / "r.ktap", RunResult([hostile]))
    text = (tmp_path / "r.ktap").read_text()
    real = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert len(real) == 9
    assert not any("Bail" in line or "SKIP" in line.partition("#")[2] for line in real)
