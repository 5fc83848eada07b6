# SPDX-License-Identifier: MIT
"""The command ``claims``, and what is said of a claim that does not exist."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.claims.catalogue import catalogue, find_claims, select_claims
from harness.claims.scenarios import all_scenarios
from harness.cli.claims import claims
from harness.errors import UsageError
from harness.implementations.defects import defects_breaking

ROOT = Path(__file__).parent.parent


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(claims, arguments, catch_exceptions=False, standalone_mode=False)
    return done.output


def test_every_scenario_is_found_where_it_is() -> None:
    for each in all_scenarios():
        lines = (ROOT / each.file).read_text(encoding="utf-8").splitlines()
        block = "\n".join(lines[each.line - 1 : each.line + 20])
        assert f"def {each.name}(" in block
        assert f'"{each.claim}"' in block
    written = sum(
        file.read_text(encoding="utf-8").count("\n@claim(")
        for file in (ROOT / "scenarios").glob("test_*.py")
    )
    assert len(all_scenarios()) == written > len(catalogue().claims) / 2


def test_without_ids_all_claims_are_listed() -> None:
    rows = [line.split("|") for line in shown().splitlines() if line.startswith("| ")]
    counts = {row[1].strip(): row[3].strip() for row in rows if row[1].strip()}
    assert list(counts) == ["claim", *catalogue().claims]
    for claim in catalogue().claims.values():
        assert (counts[claim.id] == "0") is bool(claim.undecided)
    assert counts["T1"] == "3"


def test_a_claim_shows_author_scenarios_verdicts_and_mutants() -> None:
    lines = shown("j2", "P8").splitlines()
    assert lines[0] == "J2: Several callers can have reports of their own at the same time."
    assert lines[1].startswith("  from: Jeremi Piotrowski, https://lore.kernel.org/r/57f3a05e")
    assert "  the class interface cannot meet it: one device has one nonce for all callers" in lines
    assert "  no mutant is written for it" in lines
    assert "    class-fixed: FAIL" in lines
    assert "    mainline: PASS" in lines
    needs = "the class interface, the attribute privlevel, a kernel with kcsan, 2 processors"
    assert f"      needs {needs}" in lines
    assert any("defect:unlocked-show: privlevel and format are read" in line for line in lines)


def test_a_claim_that_no_scenario_decides_says_why() -> None:
    text = shown("S4")
    assert "  no scenario decides it: it is about documentation\n" in text
    assert "expected" not in text


def test_json_has_every_claim() -> None:
    document = json.loads(shown("--json"))
    assert [each["claim"] for each in document] == list(catalogue().claims)
    [one] = json.loads(shown("F3", "--json"))
    assert one["expected"]["mainline"] == "FAIL"
    assert one["expected"]["configfs-fixed"] == "PASS"
    assert "defect:wiping-refusal" in one["mutants"]
    assert one["scenarios"][0]["file"] == "scenarios/test_input.py"


def test_every_defect_of_a_decided_claim_is_among_its_mutants() -> None:
    for each in json.loads(shown("--json")):
        if each["scenarios"]:
            names = {name.removeprefix("defect:") for name in each["mutants"]}
            assert names == defects_breaking(each["claim"]), each["claim"]


@pytest.mark.parametrize(
    ("ident", "hint"),
    [
        ("X9", "did you mean P9? "),
        ("r11", "did you mean R1 "),
        ("T1c", "did you mean T1"),
        ("double-free", "`tsm-harness claims` lists the claims"),
    ],
)
def test_an_unknown_claim_names_those_that_resemble_it(ident: str, hint: str) -> None:
    for select in (find_claims, select_claims):
        with pytest.raises(UsageError, match=f"unknown claim: {ident}") as raised:
            select([ident])
        assert raised.value.hint.startswith(hint)


def test_an_undecided_claim_is_shown_and_not_run() -> None:
    assert [each.id for each in find_claims(["s4"])] == ["S4"]
    with pytest.raises(UsageError, match="no scenario decides S4"):
        select_claims(["s4"])
