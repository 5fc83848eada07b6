# SPDX-License-Identifier: MIT
"""``claims``: what is demanded, by whom, and how it is decided."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.claims.catalogue import find_claims
from harness.claims.model import Claim
from harness.claims.scenarios import Scenario, all_scenarios
from harness.claims.scope import expected_status, noticed_defects
from harness.claims.target import Target, offered_attributes
from harness.implementations.defects import all_defects
from harness.implementations.spec import parse_implementation, reference_names
from harness.report.text import print_text
from harness.settings import DEFAULT_KERNEL, Settings
from harness.verdict import Status

__all__ = ["claims"]


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def claims(claims: tuple[str, ...], as_json: bool) -> int:
    """Show what is demanded, who raised it and where, and how it is decided.

    Without CLAIM it lists all claims. With CLAIM it also shows the scenarios with what they need,
    the expected verdicts, and the mutants that a scenario must notice. The expected verdicts are
    those on the default kernel with the default provider.
    """
    found = find_claims(claims)
    console = Console(highlight=False)
    if as_json:
        click.echo(json.dumps([_as_json(each) for each in found], indent=1))
    elif claims:
        for number, each in enumerate(found):
            for line in [*([""] if number else []), *_lines(each)]:
                print_text(console, line)
    else:
        console.print(_table(found))
    return 0


def _scenarios_of(claim: Claim) -> list[Scenario]:
    return [each for each in all_scenarios() if each.claim == claim.id]


def _table(found: Sequence[Claim]) -> Table:
    table = Table(box=box.ASCII2)
    table.add_column("claim", no_wrap=True)
    table.add_column("demand", overflow="fold")
    table.add_column("scenarios", justify="right", no_wrap=True)
    for each in found:
        table.add_row(each.id, Text(each.demand), str(len(_scenarios_of(each))))
    return table


def _lines(claim: Claim) -> Iterator[str]:
    yield f"{claim.id}: {claim.demand}"
    yield f"  from: {claim.raised_by}{f', {claim.link}' if claim.link else ''}"
    if claim.undecided:
        yield f"  no scenario decides it: {claim.undecided}"
        return
    for interface in claim.impossible_on:
        yield f"  the {interface} interface cannot meet it: {claim.why_impossible}"
    yield "  scenarios:"
    for each in _scenarios_of(claim):
        yield f"    {each.file}:{each.line} {each.name}"
        if needs := each.scope.conditions():
            yield f"      needs {', '.join(needs)}"
    yield f"  expected on {DEFAULT_KERNEL} with {_provider()}:"
    for tsm, status in _expected(claim).items():
        yield f"    {tsm}: {status}"
    effects = {name: all_defects()[name].effect for name in _mutants(claim)}
    yield "  mutants that it must notice:" if effects else "  no mutant is written for it"
    for name, effect in effects.items():
        yield f"    defect:{name}: {effect}"


def _as_json(claim: Claim) -> dict[str, object]:
    return {
        "claim": claim.id,
        "demand": claim.demand,
        "raised_by": claim.raised_by,
        "link": claim.link,
        "undecided": claim.undecided,
        "scenarios": [
            {
                "name": each.name,
                "file": str(each.file),
                "line": each.line,
                "needs": list(each.scope.conditions()),
            }
            for each in _scenarios_of(claim)
        ],
        "expected": _expected(claim),
        "mutants": [f"defect:{name}" for name in _mutants(claim)],
    }


def _provider() -> str:
    return Settings().providers[0]


def _expected(claim: Claim) -> dict[str, str]:
    """Return the expected verdict of the claim for each reference implementation."""
    expected = {}
    for tsm in reference_names():
        target = _target(tsm)
        statuses = {expected_status(claim, s.scope, target) for s in _scenarios_of(claim)}
        expected[tsm] = next((each.value for each in Status if each in statuses), "")
    return {tsm: status for tsm, status in expected.items() if status}


def _target(tsm: str) -> Target:
    """Return what a reference implementation runs on, without preparing the kernel."""
    implementation = parse_implementation(tsm)
    major, minor = DEFAULT_KERNEL.rpartition(":")[2].split(".")
    attributes = offered_attributes(implementation, (int(major), int(minor)))
    return Target(implementation, attributes, True, _provider(), {}, Settings().smp)


def _mutants(claim: Claim) -> list[str]:
    names = {name for s in _scenarios_of(claim) for name in noticed_defects(claim, s.scope)}
    return [name for name in all_defects() if name in names]
