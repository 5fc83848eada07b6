# SPDX-License-Identifier: MIT
"""The parts of exploration that need no guest: programs as JSON, shrinking, coverage, budgets."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli.explore import BudgetType
from harness.errors import HostError, UsageError
from harness.explore.compare import Comparison, Disagreement, Transition
from harness.explore.coverage import Coverage
from harness.explore.explore import Budget, Exploration, Finding, explore
from harness.explore.explorer import Explorer, Trial
from harness.explore.machine import random_programs
from harness.explore.program_json import RecordedProgram, read_program, write_program
from harness.explore.show import as_scenario, as_script, rows, title
from harness.explore.shrink import shrink
from harness.explore.systematic import PARTS, STATES, systematic_programs
from harness.model.interface import InterfaceVersion, class_version, configfs_version
from harness.model.outcome import CallResult, Outcome, errno_name
from harness.model.steps import (
    Behaviour,
    Leave,
    MakeEntry,
    Overlap,
    Program,
    ReadAttribute,
    RemoveEntry,
    Return,
    WriteAttribute,
)

CONFIGFS = configfs_version((6, 12))
CLASS = class_version(["inhex", "outblob", "generation"])
READ = ReadAttribute("a", "outblob")
MAKE, REMOVE = MakeEntry("a"), RemoveEntry("a")
OUTCOME = Outcome((CallResult("read", -1, 5),))


def nonce(data: bytes) -> WriteAttribute:
    return WriteAttribute("a", "inblob", ((None, data),))


def trial_of(program: Program, index: int | None) -> Trial:
    """A trial whose step ``index`` disagrees."""
    found = None if index is None else Disagreement(index, program.steps[index], OUTCOME, ())
    return Trial(program, [OUTCOME] * len(program.steps), Comparison(found))


def finding_of(*steps: Any) -> Finding:  # noqa: ANN401 - any step
    return Finding(trial_of(Program(steps), len(steps) - 1), 3, 10, frozenset())


# Programs as JSON.


def sample(version: InterfaceVersion) -> list[Program]:
    """Every fifth systematic program of each part, and a few random ones."""
    programs = [
        program for part in PARTS for program in list(systematic_programs(version, part))[::5]
    ]
    return programs + drawn(version, 1, 4)


def drawn(version: InterfaceVersion, number: int, count: int) -> list[Program]:
    """The first random programs of a seed."""
    made: list[Program] = []

    def keep(program: Program) -> bool:
        made.append(program)
        return True

    random_programs(version, number=number, count=count, run=keep)
    return made


@pytest.mark.parametrize("version", [CONFIGFS, CLASS], ids=["configfs", "class"])
def test_every_program_is_read_as_it_was_written(version: InterfaceVersion, tmp_path: Path) -> None:
    file = tmp_path / "program.json"
    for program in sample(version):
        recorded = RecordedProgram(program, "M2", frozenset(["T3", "F2"]))
        write_program(file, recorded)
        assert read_program(file) == recorded


def document(*steps: object, **changes: object) -> dict[str, object]:
    """A valid document with these steps."""
    whole: dict[str, object] = {"schema": 1, "claim": "M1", "deviations": [], "title": ""}
    return whole | {"steps": list(steps)} | changes


GOOD_STEP: dict[str, Any] = {"kind": "read", "entry": "a", "attribute": "outblob"}
GOOD_WRITE: dict[str, Any] = {
    "kind": "write",
    "entry": "a",
    "attribute": "inblob",
    "pieces": [[None, "00"]],
}
OVERLAP: dict[str, Any] = {"kind": "overlap", "first": GOOD_STEP, "others": []}


def test_a_document_with_defaults_is_read(tmp_path: Path) -> None:
    file = tmp_path / "program.json"
    file.write_text(json.dumps(document(GOOD_STEP, GOOD_WRITE, OVERLAP)))
    steps = (READ, nonce(b"\0"), Overlap(READ, ()))
    assert read_program(file) == RecordedProgram(Program(steps), "M1")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "members are missing"),
        (document(GOOD_STEP) | {"more": 1}, "members are missing, unknown"),
        (document(GOOD_STEP, schema=2), "its schema is 2"),
        (document(GOOD_STEP, claim="T3"), "claim 'T3' is not one of M1, M2, M3"),
        (document(GOOD_STEP, deviations=["X1"]), "unknown deviation 'X1'"),
        (document(GOOD_STEP, deviations=[[]]), r"unknown deviation \[\]"),
        (document(GOOD_STEP, title="t" * 301), "title: it has more than 300 characters"),
        (document(), "it has 0 steps"),
        (document(*[GOOD_STEP] * 2001), "it has 2001 steps"),
        (document(7), r"steps\[0\]: None is no kind of step"),
        (document({"kind": "reboot"}), "'reboot' is no kind of step"),
        (document({"kind": ["read"]}), "is no kind of step"),
        (document({"kind": "read", "entry": "a"}), "no member attribute"),
        (document(GOOD_STEP | {"uid": 0}), "unknown member 'uid'"),
        (document(GOOD_STEP | {"entry": "../a"}), r"entry: '\.\./a' is not possible"),
        (document(GOOD_STEP | {"entry": ".."}), r"entry: '\.\.' is not possible"),
        (document(GOOD_STEP | {"entry": "a\0"}), "entry: .* is not possible"),
        (document(GOOD_STEP | {"entry": ""}), "entry: '' is not possible"),
        (document(GOOD_STEP | {"entry": 7}), "entry: 7 is not possible"),
        (document(GOOD_STEP | {"attribute": "passwd"}), "attribute: 'passwd' is not possible"),
        (document(GOOD_STEP | {"chunk": 0}), "chunk: 0 is not between"),
        (document(GOOD_STEP | {"chunk": 1 << 40}), "chunk: .* is not between"),
        (document(GOOD_STEP | {"chunk": True}), "chunk: True is not possible"),
        (document(GOOD_STEP | {"chunk": 1.5}), "chunk: 1.5 is not possible"),
        (document(GOOD_STEP | {"offset": -1}), "offset: -1 is not between"),
        (document(GOOD_STEP | {"nobody": 1}), "nobody: 1 is not possible"),
        (document(GOOD_STEP | {"behaviour": 1}), "behaviour: 1 is not an object"),
        (document(GOOD_STEP | {"behaviour": {"lengths": [1, 2]}}), "2 elements, not 3"),
        (document(GOOD_STEP | {"behaviour": {"lengths": [1, 2, 1 << 30]}}), "is not between"),
        (document(GOOD_STEP | {"behaviour": {"value": -5000}}), "-5000 is not between"),
        (document(GOOD_WRITE | {"pieces": "00"}), "pieces: '00' is not a list"),
        (document(GOOD_WRITE | {"pieces": [[None, "0"]]}), "not an even number of hexadecimal"),
        (document(GOOD_WRITE | {"pieces": [[None, "0g"]]}), "not an even number of hexadecimal"),
        (document(GOOD_WRITE | {"pieces": [[None, "00" * 131073]]}), "more than 131072 bytes"),
        (document(GOOD_WRITE | {"pieces": [[None, "00"]] * 65}), "65 elements, not at most 64"),
        (document(GOOD_WRITE | {"kind": "repeat", "data": "00"}), "unknown member 'pieces'"),
        (document(OVERLAP | {"first": OVERLAP}), "first: 'overlap' is no kind of step"),
        (document(OVERLAP | {"first": GOOD_WRITE}), "first: 'write' is no kind of step"),
        (document(OVERLAP | {"others": [OVERLAP]}), r"others\[0\]: 'overlap' is no kind"),
        (document(OVERLAP | {"others": [GOOD_STEP] * 4}), "4 elements, not at most 3"),
        (document(OVERLAP | {"victim": 1}), "there is no caller number 1"),
        (document(OVERLAP | {"ending": "panic"}), "ending: 'panic' is not possible"),
        (document({"kind": "return", "name": "two words"}), "name: 'two words' is not possible"),
    ],
)
def test_other_documents_are_refused(tmp_path: Path, wrong: object, message: str) -> None:
    file = tmp_path / "program.json"
    file.write_text(json.dumps(wrong))
    with pytest.raises(UsageError, match=message) as caught:
        read_program(file)
    assert "is not a program of an exploration: " in str(caught.value)
    assert len(str(caught.value)) < 400
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[" * 100000, "\xff", "1e999", " " * (17 << 20)])
def test_files_that_are_no_json_are_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "program.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="is not a program of an exploration"):
        read_program(file)
    with pytest.raises(UsageError, match="is not a program of an exploration"):
        read_program(tmp_path)


# Shrinking.


def disagrees_when(holds: Callable[[Program], int | None]) -> Callable[[Program], Trial]:
    return lambda program: trial_of(program, holds(program))


def last_read_after_a_write(program: Program) -> int | None:
    """The first read of outblob behind a write of the nonce disagrees."""
    kinds = [step.kind for step in program.steps]
    if "write" not in kinds:
        return None
    later = [n for n, kind in enumerate(kinds) if kind == "read" and n > kinds.index("write")]
    return later[0] if later else None


def test_shrinking_removes_all_steps_that_do_not_matter() -> None:
    long = Behaviour(lengths=(9000, 0, 0))
    steps = (
        MAKE,
        READ,
        nonce(b"1"),
        REMOVE,
        MAKE,
        Leave(),
        Return(),
        replace(READ, behaviour=long),
    )
    run = disagrees_when(last_read_after_a_write)
    found = shrink(run(Program((*steps, REMOVE, MAKE))), run)
    assert found.program.steps == (nonce(b"1"), READ)


def test_shrinking_keeps_another_disagreement_apart() -> None:
    def holds(program: Program) -> int | None:
        if program.steps[0] != MAKE:
            return 0  # another step disagrees
        return len(program.steps) - 1 if nonce(b"1") in program.steps else None

    run = disagrees_when(holds)
    found = shrink(run(Program((MAKE, REMOVE, nonce(b"1"), Leave(), READ))), run)
    assert found.program.steps == (MAKE, nonce(b"1"), READ)


def test_shrinking_ends_with_its_budget() -> None:
    runs = 0

    def run(program: Program) -> Trial:
        nonlocal runs
        runs += 1
        return trial_of(program, len(program.steps) - 1 if len(program.steps) == 60 else None)

    shrink(run(Program((READ,) * 60)), run, runs=7)
    assert runs <= 8


# The search.


class _Fake(Explorer):
    """Has no guests: the first program disagrees; ``error`` comes with the run after that."""

    error: BaseException

    def detect(self) -> InterfaceVersion:
        return CONFIGFS

    def run(self, program: Program) -> Trial:
        self.trials += 1
        if self.trials > 1:
            raise self.error
        return trial_of(program, len(program.steps) - 1)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UsageError("lost", hint="none")])
def test_a_search_that_is_stopped_keeps_what_it_found(error: BaseException) -> None:
    fake = _Fake(None, "kernel", "tsm")  # type: ignore[arg-type] # it opens no guest
    fake.error = error
    found = Exploration()
    with pytest.raises(type(error)):
        explore(fake, "behaviour", Budget(programs=2), into=found)
    [finding] = found.findings
    assert title(finding).startswith("M1, not repeated")


@pytest.mark.parametrize("version", [CONFIGFS, CLASS], ids=["configfs", "class"])
def test_an_error_of_a_program_is_raised_and_ends_the_random_part(
    version: InterfaceVersion,
) -> None:
    made: list[Program] = []

    def fail(program: Program) -> bool:
        made.append(program)
        raise HostError("the disk is full")

    with pytest.raises(HostError, match="the disk is full"):
        random_programs(version, number=1, count=5, run=fail)
    assert len(made) == 1


@pytest.mark.parametrize("version", [CONFIGFS, CLASS], ids=["configfs", "class"])
def test_random_programs_depend_on_the_seed_only(version: InterfaceVersion) -> None:
    assert drawn(version, 1, 3) == drawn(version, 1, 3) != drawn(version, 2, 3)


# Coverage.


def test_the_summary_of_coverage_is_short() -> None:
    for version in (CONFIGFS, CLASS, configfs_version((7, 0))):
        lines = list(Coverage(frozenset(), version, "the budget ended").summary())
        assert len(lines) <= 12
        assert lines[0].startswith("coverage: 0 transitions; 0 of ")
        assert lines[1] == "not reached, since the budget ended:"


def test_coverage_tells_what_was_reached() -> None:
    def of(*visited: Transition, version: InterfaceVersion = CONFIGFS) -> Coverage:
        return Coverage(frozenset(visited), version, "the budget ended")

    write = Transition("provider gone, nonce written", "write", "privlevel", "255")
    missed = ("write", "privlevel", "255")
    assert missed in of().missed and missed not in of(write).missed
    assert set(of().missed_states) == set(STATES)
    assert set(STATES) - set(of(write).missed_states) == {"provider gone, nonce written"}
    assert "reached: provider gone, nonce written: write privlevel 255" in of(write).lines()
    assert "not reached: write privlevel 255; the budget ended" in of().lines()
    states = [
        Transition(state if state.startswith("provider") else f"provider, {state}", "list", "", "")
        for state in STATES
    ]
    assert of(*states, Transition("no entry, provider", "list", "", "")).missed_states == []
    assert not any("provider gone" in state for state in of(version=CLASS).missed_states)
    long = of(version=configfs_version((7, 0))).lines()
    assert any("blobs above 32768 bytes, up to 16777216" in line for line in long)


# What is shown.


def test_the_last_row_has_what_the_model_allows() -> None:
    finding = finding_of(MAKE, READ)
    first, last = rows(finding, CONFIGFS)
    assert first == ("mkdir a", "read: EIO")
    assert last[0] == "read a/outblob"
    assert last[1].startswith("allowed: ") and last[1].endswith("\nhappened: read: EIO")
    assert title(finding) == "M1, 3 of 10 times"


def test_a_scenario_is_python_that_makes_the_same_program() -> None:
    steps = (
        MAKE,
        nonce(b"\x00'\"\\\n"),
        replace(READ, behaviour=Behaviour(-5)),
        Overlap(READ, (Leave(),), "kill"),
        Return("x", 3),
    )
    text = as_scenario(finding_of(*steps))
    [made] = [node for node in ast.walk(ast.parse(text)) if _is_call(node, "Program")]
    names: dict[str, Any] = {}
    imports = [line for line in text.splitlines() if "harness.model.steps" in line]
    exec("\n".join(imports), names)
    assert eval(ast.unparse(made), names) == Program(steps)
    assert '@claim("M1")' in text


def _is_call(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == name


def test_a_script_is_made_only_where_the_provider_is_ordinary() -> None:
    script = as_script(finding_of(MAKE, nonce(b"a'\0%"), READ, REMOVE), CONFIGFS)
    assert script is not None
    assert "printf 'a\\047\\000\\045' > /sys/kernel/config/tsm/report/a/inblob" in script
    assert as_script(finding_of(replace(READ, behaviour=Behaviour(-5))), CONFIGFS) is None
    assert as_script(finding_of(Overlap(READ, ())), CONFIGFS) is None
    assert as_script(finding_of(replace(READ, nobody=True)), CONFIGFS) is None


def test_an_errno_is_spelled_as_its_symbol() -> None:
    assert (errno_name(5), errno_name(512)) == ("EIO", "errno 512")
    assert CallResult("read", -1, 512).text == "read: errno 512"


# The budget.


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("1", Budget(programs=1)),
        ("300", Budget(programs=300)),
        ("90s", Budget(seconds=90)),
        ("10min", Budget(seconds=600)),
        ("2h", Budget(seconds=7200)),
    ],
)
def test_a_budget_is_a_number_or_a_time(text: str, budget: Budget) -> None:
    assert BudgetType().convert(text, None, None) == budget


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-1", "1.5", "5m", "1 s", "s", "٣", "9" * 5000, "9" * 5000 + "s"]
)
def test_other_budgets_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="use 300, 90s or 10min"):
        BudgetType().convert(text, None, None)
