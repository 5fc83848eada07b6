# SPDX-License-Identifier: MIT
"""Claims: the installed catalogue, and the prediction of a SKIP."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.claims import catalogue as module
from harness.claims.catalogue import Catalogue, catalogue, select_claims
from harness.claims.model import Claim
from harness.claims.scope import Scope, expected_status
from harness.claims.target import (
    Target,
    attributes_in_module,
    counters_follow_report,
    offered_attributes,
)
from harness.errors import HostError, UsageError
from harness.implementations.spec import parse_implementation
from harness.plugin.cells import claim_of
from harness.verdict import Status
from tests.test_user_implementation import copy_class

CLAIM = Claim("X1", "a reviewer", "A demand.")
BROKEN_BY_DESIGN = dataclasses.replace(
    CLAIM, impossible_on=("class",), why_impossible="there is one device"
)


def target(tsm: str = "class-fixed", provider: str = "sev-snp", **changes: object) -> Target:
    implementation = parse_implementation(tsm)
    plain = Target(
        implementation=implementation,
        attributes=offered_attributes(implementation, (6, 12)),
        settable_counters=True,
        provider=provider,
        config={},
        processors=1,
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type] # the names are in the tests


@pytest.mark.parametrize(
    ("scope", "inside", "outside", "reason"),
    [
        (Scope(only="configfs"), target("mainline"), target(), "the configfs interface only"),
        (Scope(needs="privlevel"), target(), target(provider="tdx"), "tdx does not show privlevel"),
        (Scope(needs="format"), target(), target(provider="tdx"), "tdx does not show format"),
        (
            Scope(needs="manifestblob"),
            target("mainline", "sev-snp:svsm=true"),
            target("mainline"),
            "sev-snp does not show manifestblob",
        ),
        (
            Scope(needs="generation"),
            target("mainline"),
            target("mainline", attributes=frozenset()),
            "needs generation, which this implementation lacks: see C6",
        ),
        (
            Scope(needs="service_guid"),
            target("mainline", "sev-snp:svsm=true"),
            target("mainline", "sev-snp:svsm=true", attributes=frozenset()),
            "this implementation has no service_guid",
        ),
        (
            Scope(filled="auxblob"),
            target("mainline"),
            target("mainline", "sev-snp:certificates=none"),
            "the auxblob of sev-snp:certificates=none is always empty",
        ),
        (Scope(filled="auxblob"), target("mainline"), target("mainline", "arm-cca"), "is always"),
        (Scope(counters=True), target(), target(settable_counters=False), "counters behind"),
        (Scope(sources="any"), target(), target("mainline"), "sources of this implementation"),
        (
            Scope(sanitizer="kcsan"),
            target(config={"KCSAN": "y"}),
            target(config={"KCSAN": "n"}),
            "CONFIG_KCSAN is off",
        ),
        (
            Scope(excluded_by="PREEMPT_NONE"),
            target(config={"PREEMPT_NONE": "n"}),
            target(config={"PREEMPT_NONE": "y"}),
            "CONFIG_PREEMPT_NONE",
        ),
        (Scope(processors=2), target(processors=2), target(), "--smp 2"),
    ],
)
def test_skip_outside_the_scope_is_predicted_with_a_reason(
    scope: Scope, inside: Target, outside: Target, reason: str
) -> None:
    assert scope.skip_reason(inside) == ""
    assert expected_status(CLAIM, scope, inside) is Status.PASS
    assert reason in scope.skip_reason(outside)
    assert expected_status(CLAIM, scope, outside) is Status.SKIP


@pytest.mark.parametrize(
    ("claim", "got", "expected"),
    [
        (CLAIM, None, Status.PASS),
        (CLAIM, Status.FAIL, Status.PASS),
        (BROKEN_BY_DESIGN, None, Status.FAIL),
        (BROKEN_BY_DESIGN, Status.FAIL, Status.FAIL),
        (BROKEN_BY_DESIGN, Status.PASS, Status.PASS),
        (BROKEN_BY_DESIGN, Status.ERROR, Status.FAIL),
    ],
)
def test_a_users_implementation_may_break_what_its_interface_breaks(
    claim: Claim, got: Status | None, expected: Status, tmp_path: Path
) -> None:
    user = target(f"dir:{copy_class(tmp_path)}", attributes=target().attributes)
    assert expected_status(claim, Scope(), user, got) is expected
    assert expected_status(BROKEN_BY_DESIGN, Scope(), target(), Status.PASS) is Status.FAIL


def test_every_claim_that_a_design_breaks_has_a_reason() -> None:
    for claim in catalogue().claims.values():
        assert bool(claim.impossible_on) == bool(claim.why_impossible), claim.id


def test_attributes_of_the_kernels_own_implementation_depend_on_its_version() -> None:
    mainline = parse_implementation("mainline")
    new = offered_attributes(mainline, (6, 11)) - offered_attributes(mainline, (6, 10))
    assert new == {
        "manifestblob", "service_provider", "service_guid", "service_manifest_version"
    }  # fmt: skip
    assert "format" not in offered_attributes(mainline, (6, 12))
    assert "format" in offered_attributes(parse_implementation("class-posted"), (6, 12))


def test_attributes_of_a_module_are_names_among_its_strings(tmp_path: Path) -> None:
    source = tmp_path / "module.c"
    source.write_text(
        'const char *names[] = { "inhex", "generation" };\n'
        'const char *text = "the privlevel is wrong";\n'
        "struct { int privlevel; } outblob = { 1 };\n"
    )
    subprocess.run(["gcc", "-g", "-c", source.name, "-o", "module.ko"], cwd=tmp_path, check=True)
    assert attributes_in_module(tmp_path / "module.ko") == {"inblob", "generation"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("struct e { struct tsm_report report; unsigned long written, made; };", True),
        ("struct tsm_report r;\n\tunsigned long w; /* writes */\n\tunsigned long r;", True),
        ("struct tsm_report report;\n\tunsigned long write_generation;\n};", False),
        ("struct tsm_report report; struct config_item item; unsigned long a, b;", False),
        ("struct tsm_report *report; unsigned long a, b;", False),
        ("/* struct tsm_report report; unsigned long a, b; */", False),
    ],
)
def test_counters_directly_after_the_report_are_recognized(text: str, expected: bool) -> None:
    assert counters_follow_report(["int x;", text]) is expected


LINKS = (
    r"https://lore\.kernel\.org/r/\S+@\S+",
    r"https://git\.kernel\.org/pub/scm/linux/kernel/git/torvalds/linux\.git/tree/\S+",
    r"https://github\.com/\S+",
)


def test_catalogue_of_this_package_is_installed() -> None:
    installed = catalogue()
    assert {"R1", "J1", "T1"} <= installed.claims.keys()
    assert (installed.directory / "claims.py").is_file()
    for claim in installed.claims.values():
        assert any(re.fullmatch(form, claim.link) for form in LINKS), claim.id


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Replaces the installed entry points of catalogues; a test appends values."""
    values: list[str] = []

    def installed(group: str) -> EntryPoints:
        return EntryPoints(EntryPoint("x", value, group) for value in values)

    monkeypatch.setattr(module, "entry_points", installed)
    catalogue.cache_clear()
    yield values
    catalogue.cache_clear()


OTHER = Catalogue({"X1": CLAIM}, Path("/nowhere"))


def test_claims_come_from_the_entry_point(entry_points: list[str]) -> None:
    entry_points.append("tests.test_claims:OTHER")
    assert [claim.id for claim in select_claims([])] == ["X1"]
    assert select_claims(["x1"]) == (CLAIM,)
    with pytest.raises(UsageError, match="unknown claim: R1"):
        select_claims(["R1"])


@pytest.mark.parametrize(
    ("installed", "message"),
    [
        ([], "found: none"),
        (["tests.test_claims:OTHER", "scenarios:CATALOGUE"], "found: tests.test_claims:OTHER, sc"),
        (["tests.test_claims:CLAIM"], "is not a harness.claims.Catalogue"),
    ],
)
def test_missing_second_or_wrong_catalogue_is_refused(
    entry_points: list[str], installed: list[str], message: str
) -> None:
    entry_points += installed
    with pytest.raises(HostError, match=message):
        catalogue()


def test_a_scenario_of_an_unknown_claim_is_a_usage_error() -> None:
    mark = pytest.mark.claim("F99").mark
    item = SimpleNamespace(
        path=Path("test_x.py"), name="test_invented", get_closest_marker=lambda _: mark
    )
    with pytest.raises(pytest.UsageError, match=r'test_x.py: @claim\("F99"\) on test_invented'):
        claim_of(cast(pytest.Item, item))
