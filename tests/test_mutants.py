# SPDX-License-Identifier: MIT
"""The proof of sight: what it makes of scenarios that are blind, or see ghosts."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness.claims.catalogue import catalogue
from harness.claims.scope import Scope
from harness.cli.mutants import _unseen
from harness.implementations.defects import all_defects, defects_breaking
from harness.report.mutants import flaws, print_mutants
from harness.verdict import Cell, CellResult, Status
from scenarios import test_conformance

P, F, S = Status.PASS, Status.FAIL, Status.SKIP


def result(claim: str, tsm: str, status: Status, expected: Status) -> CellResult:
    cell = Cell(claim, f"test_{claim}", "6.12", tsm, "sev-snp")
    return CellResult(cell, status, expected, 0.1, rerun=f"run {claim}")


def test_a_defect_that_nothing_looks_at_is_told() -> None:
    results = [
        result("C1", "configfs-fixed", P, P),
        result("C1", "defect:loose-guid", P, P),
        result("C1", "defect:old-errno", F, F),
    ]
    out = io.StringIO()
    print_mutants(results, {}, Console(file=out, width=100))
    assert "defect:loose-guid: what is chosen here has no scenario about it" in out.getvalue()
    assert "old-errno: what" not in out.getvalue()


@pytest.mark.parametrize(
    ("status", "expected", "kind"),
    [
        (P, P, None),
        (F, F, None),
        (S, S, None),
        (P, F, "blind"),
        (F, P, "sees ghosts"),
        (S, F, "looks away"),
        (Status.ERROR, F, "undecided"),
        (Status.MISS, P, "undecided"),
    ],
)
def test_what_is_wrong_has_a_name(status: Status, expected: Status, kind: str | None) -> None:
    found = flaws([result("R1", "defect:double-free", status, expected)])
    assert [flaw.kind for flaw in found] == ([kind] if kind else [])


def test_the_matrix_shows_claims_by_defects() -> None:
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
    out = io.StringIO()
    print_mutants(results, {"reader-race": "a reason"}, Console(file=out, width=100))
    text = out.getvalue()
    assert "|R1   |.|F|F!|" in text
    assert "|J1   |.|.|.!|" in text
    assert "|F1   |.|F|" in text.partition("|claim|a|b|\n")[2]  # a interface of its own
    assert "F1" not in text.partition("c  defect:reader-race")[0]
    assert "b  defect:double-free" in text
    assert "c  defect:reader-race (no scenario: a reason)" in text
    assert "blind: J1 test_J1 on defect:reader-race; run J1" in text
    assert "sees ghosts: R1 test_R1 on defect:reader-race; run R1" in text


def test_every_defect_has_a_claim_with_a_scenario() -> None:
    claims = catalogue().claims
    unknown = {d.name: set(d.claims) - set(claims) for d in all_defects().values()}
    assert {name: ids for name, ids in unknown.items() if ids} == {}
    assert _unseen() == {}


def test_a_part_of_a_claim_is_broken_by_defects_of_the_claim() -> None:
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
