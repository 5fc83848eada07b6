# SPDX-License-Identifier: MIT
"""Exploration in guests: known-bad implementations are found, good ones are not, by seed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.explore.explore import Budget, Exploration, Finding, explore
from harness.explore.explorer import Explorer, Trial
from harness.explore.program_json import FILE
from harness.explore.record import write_finding
from harness.explore.show import as_script, rows
from harness.explore.systematic import PARTS, Part
from harness.model.interface import configfs_version
from harness.model.outcome import Outcome
from harness.model.steps import (
    MakeEntry,
    Program,
    ReadAttribute,
    RemoveEntry,
    Step,
    TidyUp,
    WriteAttribute,
)
from harness.session import Session
from harness.settings import DEFAULT_KERNEL, Settings
from tests.test_cli import Invoke, invoke

__all__ = ["invoke"]  # the fixture

GOOD = Path(__file__).parent / "data" / "implementations"
UNCOUNTED = "defect:version-uncounted"
SHORTEST = ["mkdir e", "write e/service_manifest_version", "read e/generation"]


def search(
    session: Session, tsm: str, part: Part, programs: int, *, shrinking: int = 12, seed: int = 0
) -> Exploration:
    budget = Budget(programs=programs, findings=1, shrinking=shrinking, repeats=1)
    return explore(Explorer(session, DEFAULT_KERNEL, tsm, seed), part, budget)


def only(result: Exploration) -> Finding:
    [finding] = result.findings
    return finding


def operations(finding: Finding) -> list[str]:
    """The steps without their values; entries have numbers that depend on the program."""
    steps = finding.trial.program.steps
    return [re.sub(r"e\d+", "e", f"{step.kind} {_place(step)}".strip()) for step in steps]


def _place(step: Step) -> str:
    return "/".join(
        str(getattr(step, each)) for each in ("entry", "attribute") if hasattr(step, each)
    )


@pytest.mark.parametrize(
    ("tsm", "part", "claim"),
    [
        (UNCOUNTED, "behaviour", "M1"),
        ("defect:leaked-entry", "kept", "M2"),
        ("defect:sleeps-in-spinlock", "progress", "M3"),
    ],
)
def test_a_defect_is_found_by_the_claim_of_its_kind(
    session: Session, tsm: str, part: Part, claim: str
) -> None:
    finding = only(search(session, tsm, part, 3, shrinking=1))
    assert finding.disagreement.claim == claim
    assert (finding.same, finding.repeats) == (1, 1)
    assert finding.disagreement.known == ()


def test_the_first_program_of_an_explorer_can_show_what_is_kept(session: Session) -> None:
    """As a replay and a pasted scenario run it: no other program has found a baseline before."""
    steps = (MakeEntry("a"), RemoveEntry("a"), MakeEntry("b"), TidyUp())
    kept = {
        tsm: Explorer(session, DEFAULT_KERNEL, tsm).run(Program(steps)).comparison.disagreement
        for tsm in ("defect:leaked-entry", "configfs-fixed")
    }
    assert kept["configfs-fixed"] is None
    assert kept["defect:leaked-entry"] is not None
    assert kept["defect:leaked-entry"].claim == "M2"


@pytest.mark.parametrize("name", ["class/rcu-report", "configfs/single-flight"])
@pytest.mark.parametrize("part", PARTS)
def test_a_correct_implementation_in_another_style_agrees(
    session: Session, name: str, part: Part
) -> None:
    result = search(session, f"dir:{GOOD / name}", part, 2)
    assert [list(rows(each, configfs_version((6, 12)))) for each in result.findings] == []
    assert result.programs == 2
    assert result.steps > 50


def test_a_seed_gives_the_same_programs_outcomes_and_shortest_program(session: Session) -> None:
    def recorded(seed: int) -> tuple[list[Program], list[list[str]], Finding]:
        explorer = _Recorder(session, DEFAULT_KERNEL, UNCOUNTED, seed)
        budget = Budget(programs=2, findings=1, shrinking=60, repeats=0)
        finding = only(explore(explorer, "behaviour", budget))
        return explorer.programs, explorer.texts, finding

    first, second = recorded(5), recorded(5)
    assert first[:2] == second[:2]
    assert first[2].trial.program == second[2].trial.program
    assert operations(first[2]) == SHORTEST


@dataclass
class _Recorder(Explorer):
    """Keeps the programs that were run, and the outcomes of their steps."""

    programs: list[Program] = field(default_factory=list)
    texts: list[list[str]] = field(default_factory=list)

    def run(self, program: Program) -> Trial:
        trial = super().run(program)
        self.programs.append(program)
        self.texts.append([each.text for each in trial.outcomes if isinstance(each, Outcome)])
        return trial


def test_a_known_deviation_of_the_kernel_is_named_by_its_claim(session: Session) -> None:
    long = WriteAttribute("e", "inblob", ((None, bytes(range(64))),))
    short = WriteAttribute("e", "inblob", ((None, b"short"),))
    program = Program((MakeEntry("e"), long, short, ReadAttribute("e", "outblob")))
    found = Explorer(session, DEFAULT_KERNEL, "mainline").run(program).comparison.disagreement
    assert found is not None and (found.claim, found.known) == ("M1", ("T3",))
    allowed = Explorer(session, DEFAULT_KERNEL, "mainline", deviations=frozenset(["T3"]))
    assert allowed.run(program).comparison.disagreement is None


@pytest.fixture(scope="module")
def recorded(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a finding."""
    explorer = Explorer(session, DEFAULT_KERNEL, UNCOUNTED)
    explorer.detect()
    write = WriteAttribute("e", "service_manifest_version", ((None, b"7\n"),))
    read = ReadAttribute("e", "generation")
    trial = explorer.run(Program((MakeEntry("e"), read, write, read)))
    finding = Finding(trial, 1, 1, frozenset())
    settings = Settings(tsms=(UNCOUNTED,), cache=session.cache.root)
    root = tmp_path_factory.mktemp("recorded")
    where = write_finding(root, finding, explorer.detect(), settings, session, 1)
    assert where is not None
    assert as_script(finding, explorer.detect()) == (where / "finding.sh").read_text()
    return where


@pytest.mark.parametrize(("tsm", "status"), [(UNCOUNTED, 1), ("configfs-fixed", 0)])
def test_the_recorded_scenario_decides(recorded: Path, tsm: str, status: int) -> None:
    command = (recorded / "rerun.txt").read_text().split()
    command = [sys.executable, "-m", *[each.replace(UNCOUNTED, tsm) for each in command]]
    done = subprocess.run(command, cwd=recorded, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    assert (
        "the model does not allow this (M1, 1 of 1 times): read e/generation" in done.stdout
    ) is bool(status)


def test_a_finding_can_be_replayed(recorded: Path, invoke: Invoke) -> None:
    done = invoke("replay", str(recorded))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same outcome 1 of 1 times: FAIL, read e/generation: " in done.stdout
    bundle = json.loads((recorded / "bundle.json").read_bytes())
    (recorded / "bundle.json").write_text(json.dumps(bundle | {"tsm": "configfs-fixed"}))
    done = invoke("replay", str(recorded / "bundle.json"))
    assert done.returncode == 1
    assert "now: PASS, the model allows every outcome" in done.stdout
    assert "the same outcome 0 of 1 times: FAIL" in done.stdout
    (recorded / FILE).write_text('{"schema": 1}')
    done = invoke("replay", str(recorded))
    assert done.returncode == 2
    assert "program.json is not a program of an exploration: members are missing" in done.stderr


def test_the_script_of_a_finding_is_for_a_shell(recorded: Path) -> None:
    script = (recorded / "finding.sh").read_text()
    assert script.startswith("#!/bin/sh\nmkdir /sys/kernel/config/tsm/report/e\n")
    assert "printf '7\\012' > /sys/kernel/config/tsm/report/e/service_manifest_version" in script
    assert subprocess.run(["sh", "-n", recorded / "finding.sh"], check=False).returncode == 0


def test_the_command_tells_in_words_whether_anything_disagrees(
    invoke: Invoke, tmp_path: Path
) -> None:
    arguments = ("explore", "--budget", "1", "--part", "behaviour", "--coverage", "coverage.txt")
    done = invoke(*arguments, "--tsm", "class-fixed")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("\nnothing disagrees with the model in 1 program\n")
    assert len(done.stdout.splitlines()) < 20
    assert "not reached: stranger; the budget ended" in (tmp_path / "coverage.txt").read_text()
    done = invoke(*arguments, "--tsm", UNCOUNTED, "--findings", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 sequence disagrees with the model (M1: 1)" in done.stdout
    [directory] = (tmp_path / "tsm-harness-results").iterdir()
    assert f"recorded: tsm-harness-results/{directory.name}" in done.stdout
    assert (directory / "program.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "use 300, 90s or 10min"),
        (["--kernel", "/nowhere"], "no such kernel: /nowhere"),
        (["--tsm", "dir:/nowhere"], "cannot read dir:/nowhere"),
        (["--artifacts", "/dev/null/x"], "/dev/null is not a writable directory\n  name another"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(
    invoke: Invoke, arguments: list[str], message: str
) -> None:
    done = invoke("explore", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "exploring" not in done.stderr


def test_an_implementation_that_does_not_build_is_one_error(invoke: Invoke, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "linux").mkdir(parents=True)
    header = GOOD / "class" / "rcu-report" / "include" / "linux" / "tsm.h"
    (source / "linux" / "tsm.h").write_text(header.read_text())
    (source / "tsm.c").write_text("#include <linux/tsm.h>\nthis is no C\n")
    done = invoke("explore", "--tsm", f"dir:{source}", "--budget", "1")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.count("error (") == 1
    assert "exploring" not in done.stderr
