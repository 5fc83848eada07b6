# SPDX-License-Identifier: MIT
"""The mutation check: the mistakes it reports, and the defects it covers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest
from rich.console import Console

from harness.claims.catalogue import catalogue, decidable_claims
from harness.claims.scope import Scope
from harness.cli.mutants import _undecided, _without_unconcerned
from harness.implementations.defects import (
    EXPLORED_CLAIMS,
    Defect,
    all_defects,
    defects_breaking,
    defects_of,
)
from harness.report.mutants import print_mutants
from harness.settings import Settings
from harness.verdict import Cell, CellResult, Status
from scenarios import test_conformance

P, F, S = Status.PASS, Status.FAIL, Status.SKIP


def result(claim: str, tsm: str, status: Status, expected: Status) -> CellResult:
    cell = Cell(claim, f"test_{claim}", "6.12", tsm, "sev-snp")
    return CellResult(cell, status, expected, 0.1, rerun=f"run {claim}")


def printed(
    results: Sequence[CellResult], undecided: dict[str, str] | None = None, width: int = 100
) -> str:
    out = io.StringIO()
    print_mutants(results, undecided or {}, Console(file=out, width=width))
    return out.getvalue()


def test_a_defect_that_no_selected_scenario_detects_is_reported() -> None:
    text = printed(
        [
            result("C1", "configfs-fixed", P, P),
            result("C1", "defect:loose-guid", P, P),
            result("C1", "defect:short-names", F, F),
        ]
    )
    assert "no selected scenario detects defect:loose-guid" in text
    assert "short-names: no" not in text


@pytest.mark.parametrize(
    ("status", "expected", "mistake"),
    [
        (P, P, None),
        (F, F, None),
        (S, S, None),
        (P, F, "missed"),
        (F, P, "false alarm"),
        (S, F, "skipped"),
        (S, P, "skipped"),
        (Status.ERROR, F, "undecided"),
        (Status.MISS, P, "undecided"),
    ],
)
def test_each_mistake_has_a_name(status: Status, expected: Status, mistake: str | None) -> None:
    text = printed([result("R1", "defect:double-free", status, expected)])
    line = f"{mistake}: R1 test_R1 on defect:double-free; run R1"
    assert (line in text) == (mistake is not None)
    assert ("!|" in text) == (mistake is not None)
    assert text.count(" on defect:double-free") == (mistake is not None)


def test_the_table_has_a_row_per_claim_and_a_column_per_mutant() -> None:
    results = [
        result("R1", "class-fixed", P, P),
        result("R1", "defect:double-free", F, F),
        result("R1", "defect:reader-race", F, P),
        result("J1", "class-fixed", P, P),
        result("J1", "defect:double-free", P, P),
        result("J1", "defect:reader-race", P, F),
        result("F1", "class-fixed", S, S),
        result("F1", "configfs-fixed", P, P),
        result("F1", "defect:stale-length", F, F),
    ]
    text = printed(results, {"reader-race": "a reason"})
    assert "|R1   |.|F|F!|" in text
    assert "|J1   |.|.|.!|" in text
    assert "|F1   |.|F|" in text.partition("|claim|a|b|\n")[2]  # each interface has its own table
    assert "F1" not in text.partition("c  defect:reader-race")[0]
    assert "b  defect:double-free" in text
    assert "c  defect:reader-race (no scenario: a reason)" in text
    assert "missed: J1 test_J1 on defect:reader-race; run J1" in text
    assert "false alarm: R1 test_R1 on defect:reader-race; run R1" in text


def test_every_defect_has_a_claim_with_a_scenario() -> None:
    claims = catalogue().claims
    unknown = {d.name: set(d.claims) - set(claims) for d in all_defects().values()}
    assert {name: ids for name, ids in unknown.items() if ids} == {}
    assert _undecided() == {}


def test_a_mutant_for_exploration_concerns_few_claims() -> None:
    reviewed = Defect("A", "a", ("T1", "S1"), "an effect")
    explored = Defect("B", "b", ("M2", "R1"), "an effect")
    assert [reviewed.explored, explored.explored] == [False, True]
    claims = ("T1", "R1", "M1", "M2", "M3", "J1")
    assert [claim for claim in claims if reviewed.concerns(claim)] == ["T1", "R1", "J1"]
    assert [claim for claim in claims if explored.concerns(claim)] == ["R1", "M2"]


def test_a_mutant_for_exploration_is_left_out_unless_a_named_claim_concerns_it() -> None:
    tsms = ("class-fixed", "defect:same-value", "defect:leak-replaced")
    settings = Settings(tsms=tsms)
    explored = set(EXPLORED_CLAIMS) & set(decidable_claims(()))
    assert _without_unconcerned(settings).tsms == (tsms if explored else tsms[:2])
    assert _without_unconcerned(replace(settings, claims=("T1",))).tsms == tsms[:2]
    selected = {tsm: {c for c in catalogue().claims if settings.selects(c, tsm)} for tsm in tsms}
    everything = set(catalogue().claims)
    assert selected["class-fixed"] == everything
    assert selected["defect:same-value"] == everything - {"M2", "M3"}
    assert selected["defect:leak-replaced"] == {"M2"}
    assert not replace(settings, claims=("M1",)).selects("M1", "defect:leak-replaced")
    assert replace(settings, claims=("t1",)).selects("T1", "defect:leak-replaced")


def test_the_scenarios_of_a_claim_divide_its_defects_between_them() -> None:
    parts = [scope for claim, scope in _parts() if scope.broken_by is not None]
    assert parts
    for claim, scope in _parts():
        assert set(scope.broken_by or ()) <= defects_breaking(claim)
    named = [defect for _, scope in _parts() for defect in scope.broken_by or ()]
    assert set(named) == defects_breaking("C1")


def _parts() -> list[tuple[str, Scope]]:
    marks = [
        mark
        for scenario in vars(test_conformance).values()
        for mark in getattr(scenario, "pytestmark", ())
        if mark.name == "claim"
    ]
    return [(mark.args[0], mark.kwargs["scope"]) for mark in marks]


def test_a_narrow_terminal_gets_several_tables() -> None:
    mutants = [f"defect:{name}" for name in all_defects() if name in defects_of("class")]
    results = [result("R1", tsm, P, P) for tsm in ("class-fixed", *mutants)]
    text = printed(results, width=20)
    tables = [line for line in text.splitlines() if line.startswith(("|", "+"))]
    assert max(map(len, tables)) <= 20
    assert text.count("|claim|a|") == -(-len(results) // 6)
    assert all(tsm in text for tsm in mutants)
