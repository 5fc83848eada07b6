# SPDX-License-Identifier: MIT
"""What changed between two columns of a run, as data, as text and in the exit status."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Sequence

import pytest
from rich.console import Console

from harness.cli import columns
from harness.cli.columns import named_pair, with_pairs
from harness.errors import UsageError
from harness.matrix.jobs import Job, name_kernels
from harness.progress import NullProgress
from harness.report.compare import Change, compare, expect_what_bases_fail
from harness.report.compare_text import comparison_lines
from harness.report.table import print_report
from harness.session import Session
from harness.settings import Settings
from harness.verdict import Cause, CellResult, Pair, RunResult, Status, exit_status
from tests.test_report import HOSTILE, S, result

BASE, PATCH = "mainline", "patch:fix.mbox"
PAIR = Pair("tsm", BASE, PATCH, is_base=True)


def column(tsm: str, *statuses: Status, **fields: str) -> list[CellResult]:
    """Return a result for each repetition."""
    return [result(each, tsm=tsm, seed=seed, **fields) for seed, each in enumerate(statuses)]  # type: ignore[arg-type] # texts


def change(before: Sequence[Status], after: Sequence[Status]) -> Change:
    results = column(BASE, *before) + column(PATCH, *after)
    [difference] = compare(results, PAIR).differences
    return difference.change


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([S.FAIL], [S.PASS], Change.FIXED),
        ([S.PASS], [S.FAIL], Change.BROKEN),
        ([S.FAIL], [S.FAIL], Change.STILL_FAILING),
        ([S.PASS], [S.PASS], Change.UNCHANGED),
        ([S.SKIP], [S.SKIP], Change.UNCHANGED),
        ([S.FAIL], [S.SKIP], Change.NOT_COMPARED),
        ([S.SKIP], [S.FAIL], Change.NOT_COMPARED),
        ([S.PASS], [S.SKIP], Change.NOT_COMPARED),
        ([S.FAIL], [S.ERROR], Change.NOT_COMPARED),
        ([S.ERROR], [S.ERROR], Change.NOT_COMPARED),
        ([S.MISS], [S.PASS], Change.NOT_COMPARED),
        ([], [S.FAIL], Change.NOT_COMPARED),
        ([S.FAIL], [], Change.NOT_COMPARED),
        # repetitions
        ([S.FAIL, S.FAIL], [S.PASS, S.PASS], Change.FIXED),
        ([S.FAIL, S.PASS], [S.PASS, S.PASS], Change.UNSTABLE),
        ([S.PASS, S.PASS], [S.PASS, S.FAIL], Change.UNSTABLE),
        ([S.FAIL, S.PASS], [S.FAIL, S.PASS], Change.UNSTABLE),
        ([S.FAIL, S.FAIL], [S.PASS, S.ERROR], Change.NOT_COMPARED),
        ([S.PASS, S.PASS], [S.FAIL, S.ERROR], Change.BROKEN),
    ],
)
def test_change_of_a_verdict(
    before: Sequence[Status], after: Sequence[Status], expected: Change
) -> None:
    assert change(before, after) is expected


def test_a_scenario_is_compared_on_the_same_kernel_and_provider() -> None:
    """The patch passes on one kernel and the base on the other: nothing is fixed or broken."""
    results = [
        result(S.FAIL, tsm=BASE, kernel="6.12"),
        result(S.PASS, tsm=BASE, kernel="7.3"),
        result(S.FAIL, tsm=PATCH, kernel="6.12"),
        result(S.PASS, tsm=PATCH, kernel="7.3"),
    ]
    counts = compare(results, PAIR).counts
    assert (counts[Change.STILL_FAILING], counts[Change.UNCHANGED]) == (1, 1)
    between_kernels = compare(results, Pair("kernel", "6.12", "7.3"))
    assert between_kernels.counts[Change.FIXED] == 2
    assert {each.where for each in between_kernels.differences} == {
        (BASE, "sev-snp"), (PATCH, "sev-snp"),
    }  # fmt: skip


def test_the_answer_comes_first_and_names_what_was_seen() -> None:
    results = [
        *column(BASE, S.FAIL, claim="R1", detail="double free"),
        *column(PATCH, S.PASS, claim="R1"),
        *column(BASE, S.PASS, claim="J1"),
        *column(PATCH, S.FAIL, claim="J1", detail="The kernel printed a splat:\n  KASAN: uaf"),
        *column(BASE, S.FAIL, claim="T3", detail="stale tail"),
        *column(PATCH, S.SKIP, claim="T3", detail="no such attribute"),
        *column(BASE, S.FAIL, S.PASS, claim="P4"),
        *column(PATCH, S.PASS, S.PASS, claim="P4"),
    ]
    lines = comparison_lines(compare(results, PAIR))
    assert lines == [
        "patch:fix.mbox against its base mainline: 1 fixed, 1 broken, 0 still failing, "
        "0 unchanged, 1 unstable, 1 not compared",
        "  fixed: R1",
        "    R1 double_free: FAIL before: double free",
        "  broken: J1",
        "    J1 double_free: KASAN: uaf",
        "  unstable: P4",
        "    P4 double_free: FAIL in 1 of 2 and PASS in 1 of 2 before, PASS after",
        "  not compared: T3",
        "    T3 double_free: FAIL before, SKIP after, so neither fixed nor broken: "
        "no such attribute",
    ]


def test_one_reason_for_many_scenarios_is_one_line() -> None:
    results = [
        each
        for claim in ("R1", "J1", "T1")
        for each in (
            *column(BASE, S.PASS, claim=claim),
            *column(PATCH, S.ERROR, claim=claim, detail="the patch does not build"),
        )
    ]
    assert comparison_lines(compare(results, PAIR))[1:] == [
        "  not compared: R1, J1, T1",
        "    R1, J1, T1 (3 scenarios): PASS before, ERROR after: the patch does not build",
    ]


@pytest.mark.parametrize(("after", "told"), [("free", False), ("splat", True)])
def test_another_reason_of_a_fail_is_told(after: str, told: bool) -> None:
    before = dataclasses.replace(result(S.FAIL, tsm=BASE), cause=Cause("free"))
    now = dataclasses.replace(result(S.FAIL, tsm=PATCH), cause=Cause(after))
    lines = comparison_lines(compare([before, now], PAIR))
    assert lines[1] == "  still failing: R1"
    assert ("for another reason" in lines[2]) == told


def test_text_of_a_guest_stays_one_line() -> None:
    hostile = [*column(BASE, S.PASS), *column(PATCH, S.FAIL, detail=HOSTILE + "x" * 10**6)]
    lines = comparison_lines(compare(hostile, PAIR))
    assert len(lines) == 3 and max(map(len, lines)) < 400
    assert not any(mark in line for line in lines for mark in "\x1b\x00\n")


# --- exit status --------------------------------------------------------------------------------


def status_with_base(results: Sequence[CellResult], *added: str) -> int:
    run = expect_what_bases_fail(RunResult(results, pairs=[PAIR]), frozenset(added))
    return exit_status(run.results)


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ([S.FAIL], [S.PASS], 0),
        ([S.FAIL], [S.FAIL], 0),
        ([S.PASS], [S.PASS], 0),
        ([S.PASS], [S.FAIL], 1),
        ([S.PASS, S.PASS], [S.PASS, S.FAIL], 1),
        ([S.PASS, S.FAIL], [S.FAIL, S.FAIL], 0),
        ([S.SKIP], [S.FAIL], 1),
        ([S.ERROR], [S.FAIL], 1),
        ([S.FAIL], [S.SKIP], 1),
        ([S.FAIL], [S.ERROR], 125),
        ([S.ERROR], [S.PASS], 125),
    ],
)
def test_a_patch_answers_for_what_its_base_passes(
    before: Sequence[Status], after: Sequence[Status], status: int
) -> None:
    assert status_with_base(column(BASE, *before) + column(PATCH, *after), BASE) == status


def test_a_fail_of_the_base_excuses_only_the_same_scenario() -> None:
    other = dataclasses.replace(result(S.PASS, tsm=BASE).cell, scenario="another")
    results = [
        dataclasses.replace(result(S.FAIL, S.FAIL, tsm=BASE), cell=other),
        result(S.PASS, tsm=BASE),
        result(S.FAIL, tsm=PATCH),
    ]
    assert status_with_base(results) == 1


def test_a_base_that_was_asked_for_is_judged() -> None:
    results = [result(S.PASS, S.FAIL, tsm=BASE), result(S.PASS, tsm=PATCH)]
    assert status_with_base(results) == 1
    assert status_with_base(results, BASE) == 0


def test_columns_without_a_base_excuse_nothing() -> None:
    results = [result(S.FAIL, S.FAIL, tsm=BASE), result(S.FAIL, tsm=PATCH)]
    run = RunResult(results, pairs=[dataclasses.replace(PAIR, is_base=False)])
    assert expect_what_bases_fail(run, frozenset()).results == results
    assert status_with_base(results) == 0


def test_an_excused_fail_names_the_base() -> None:
    results = [result(S.FAIL, S.FAIL, tsm=BASE), result(S.FAIL, tsm=PATCH, detail="seen")]
    run = expect_what_bases_fail(RunResult(results, pairs=[PAIR]), frozenset())
    assert run.results[1].detail == "seen\nits base mainline fails this scenario, too"
    assert run.results[1].as_expected


# --- columns ------------------------------------------------------------------------------------


def settings(**values: tuple[str, ...]) -> Settings:
    return Settings(**values)  # type: ignore[arg-type] # tuples of texts


def test_columns_are_named_as_in_the_table() -> None:
    known = settings(tsms=("class-posted", "class-fixed"), providers=("tdx", "sev-snp"))
    assert named_pair(known, "class-posted", "class-fixed") == Pair(
        "tsm", "class-posted", "class-fixed"
    )
    assert named_pair(known, "tdx", "sev-snp") == Pair("provider", "tdx", "sev-snp")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("class-posted", "mainlin"), "no column mainlin"),
        (("class-posted", "class-posted"), "nothing can be compared"),
        (("class-posted", "sev-snp"), "nothing can be compared"),
    ],
)
def test_a_wrong_column_is_refused(
    monkeypatch: pytest.MonkeyPatch, names: tuple[str, str], message: str
) -> None:
    monkeypatch.setattr(Session, "label", lambda _, kernel: f"release of {kernel}")
    known = settings(tsms=("class-posted", "class-fixed"))
    with pytest.raises(UsageError, match=message) as caught:
        named_pair(known, *names)
    assert caught.value.hint
    if "no column" in message:
        assert "class-fixed, sev-snp, debian:6.12, release of debian:6.12" in caught.value.hint


def test_a_kernel_is_named_as_given_or_by_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "release", lambda _, kernel: kernel.partition(":")[2])
    known = settings(kernels=("debian:6.12", "debian:7.3"))
    for before, after in (("debian:6.12", "debian:7.3"), ("6.12", "debian:7.3")):
        assert named_pair(known, before, after) == Pair("kernel", "6.12", "7.3")


def test_two_kernels_of_one_release_have_two_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "release", lambda _, kernel: kernel[-4:])
    session = Session(settings(kernels=("a/6.12", "b/6.12", "c/7.3.")), NullProgress())
    labels = [session.label(kernel) for kernel in ("a/6.12", "b/6.12", "c/7.3.")]
    assert labels == ["6.12 (a/6.12)", "6.12 (b/6.12)", "7.3."]


def test_jobs_on_two_kernels_of_one_release_have_two_names() -> None:
    jobs = [Job(kernel, "mainline", "sev-snp", (), 0) for kernel in ("a/bzImage", "b/bzImage", "c")]
    decided = [
        (job, result(S.PASS, kernel=release))
        for job, release in zip(jobs, ("6.12", "6.12", "7.3"), strict=True)
    ]
    assert [each.cell.kernel for _, each in name_kernels(decided)] == [
        "6.12 (a/bzImage)", "6.12 (b/bzImage)", "7.3",
    ]  # fmt: skip


def test_a_patch_is_compared_with_its_base(monkeypatch: pytest.MonkeyPatch) -> None:
    """The base was added to the run, so that only the patch is judged."""
    monkeypatch.setattr(columns, "_base_of", {PATCH: BASE}.get)
    run = RunResult([result(S.PASS, S.FAIL, tsm=BASE), result(S.PASS, tsm=PATCH)])
    paired = with_pairs(run, None, [PATCH])
    assert paired.pairs == (PAIR,)
    assert exit_status(paired.results) == 0
    assert exit_status(with_pairs(run, None, [BASE, PATCH]).results) == 1
    assert with_pairs(run, Pair("tsm", BASE, PATCH), [PATCH]).pairs == (PAIR,)
    backwards = Pair("tsm", PATCH, BASE)
    assert with_pairs(run, backwards, [PATCH]).pairs == (PAIR, backwards)


def test_the_comparison_is_printed_before_the_tables() -> None:
    out = io.StringIO()
    results = column(BASE, S.FAIL) + column(PATCH, S.PASS)
    print_report(RunResult(results, pairs=[PAIR]), Console(file=out, width=80))
    assert out.getvalue().startswith("patch:fix.mbox against its base mainline: 1 fixed, 0 broken")
