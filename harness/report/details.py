# SPDX-License-Identifier: MIT
"""Explains results on a terminal: each that is not as expected, and why claims were skipped.

What several results have in common is said once: the splat that breaks several claims, the reason
of an ERROR, the reason of a SKIP.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from harness.oracle.printable import printable
from harness.report.explanation import explanation
from harness.report.text import print_text
from harness.verdict import CellResult, RunResult, Status

__all__ = ["STYLES", "UNEXPECTED_STYLE", "print_details", "skip_lines", "verdict_notes"]

STYLES = {
    Status.PASS: "green",
    Status.FAIL: "yellow",
    Status.ERROR: "magenta",
    Status.MISS: "magenta",
    Status.SKIP: "dim",
}
UNEXPECTED_STYLE = "bold red"

_MAX_EXPECTED_FAILS = 3  # with more of them, the table is the overview and details would bury it
_MAX_SEEN = 14  # lines of what was seen
_MAX_EVENTS = 12  # lines of the timeline
_OTHER_INTERFACE = "the claim is about"
_OWN = ("patch:", "dir:")


def print_details(run: RunResult, console: Console, *, verbose: bool = False) -> None:
    """Print the results that need an explanation; with ``verbose``, every FAIL and every line."""
    seen: dict[object, str] = {}
    for members in _grouped(run.results, every_fail=verbose):
        result = members[0]
        splat = _splat(result)
        lines = _lines(run, result, seen.get(splat, "") if splat else "", verbose=verbose)
        seen.setdefault(splat, f"{result.cell.claim} {result.cell.scenario}")
        style = UNEXPECTED_STYLE if result.unexpected else STYLES[result.status]
        console.print()
        print_text(console, _title(result), style=style)
        for line in lines:
            print_text(console, f"  {line}")
        _print_references(result, members[1:], console)


def skip_lines(results: Sequence[CellResult]) -> list[str]:
    """Return a line for each reason why claims were skipped, as predicted.

    A claim that another of its scenarios decides is not skipped.
    """
    columns: dict[tuple[str, str, str, str], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        columns.setdefault((cell.claim, cell.tsm, cell.kernel, cell.provider), []).append(result)
    places: dict[tuple[str, str], dict[str, None]] = {}  # the implementations by reason and claim
    for (claim, tsm, *_), members in columns.items():
        if all(each.status is Status.SKIP and each.as_expected for each in members):
            reason = _reason([each.detail.partition("\n")[0] for each in members])
            places.setdefault((reason, claim), {})[tsm] = None
    claims: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (reason, claim), found in places.items():
        claims.setdefault((reason, tuple(found)), []).append(claim)
    several = len({result.cell.tsm for result in results}) > 1
    lines = []
    for (reason, tsms), skipped in claims.items():
        place = f" on {', '.join(tsms)}" if several else ""
        lines.append(printable(f"SKIP {', '.join(skipped)}{place}: {reason}"))
    return lines


def _reason(reasons: Sequence[str]) -> str:
    """Choose the reason of a claim: the other interface's scenarios say nothing about this one."""
    return next((each for each in reasons if not each.startswith(_OTHER_INTERFACE)), reasons[0])


def _grouped(results: Sequence[CellResult], *, every_fail: bool) -> list[list[CellResult]]:
    """Return the results to explain; those with the same explanation are together.

    These are the results that are not as expected, and expected FAILs when there are few. ERRORs,
    MISSes and SKIPs for the same reason are one entry. Each FAIL and each PASS has its own.
    """
    groups: dict[object, list[CellResult]] = {}
    known = [r for r in results if r.status is Status.FAIL and not r.unexpected]
    explained = known if every_fail or len(known) <= _MAX_EXPECTED_FAILS else []
    for result in results:
        if not result.as_expected or result in explained:
            cell = result.cell if result.decided else None
            groups.setdefault((result.status, result.detail, cell), []).append(result)
    return list(groups.values())


def _splat(result: CellResult) -> object:
    """Return what is equal for all results that show one splat in one implementation, or None."""
    cause, cell = result.cause, result.cell
    if result.status is not Status.FAIL or cause is None or cause.line or not cause.function:
        return None
    return cause, cell.kernel, cell.tsm, cell.provider


def _title(result: CellResult) -> str:
    cell = result.cell
    return (
        f"{result.status.value} {cell.claim} {cell.scenario} "
        f"[{cell.kernel}, {cell.tsm}, {cell.provider}, seed {cell.seed}]"
    )


def _lines(run: RunResult, result: CellResult, seen_in: str, *, verbose: bool) -> list[str]:
    """Return the explanation; ``seen_in`` is an earlier result that shows the same splat."""
    if seen_in and result.cause is not None and not verbose:
        cause = result.cause
        same = f"{cause.kind}: {cause.subject} in {cause.function}(), as in {seen_in} above"
        shown = explanation(_without_source(result, same), run.claims)
        return [*shown, *verdict_notes(result)]
    lines = explanation(result, run.claims, limit=None if verbose else _MAX_SEEN)
    lines += verdict_notes(result)
    events = result.timeline if verbose else result.timeline[-_MAX_EVENTS:]
    if events:
        where = "; timeline.txt in the recorded directory has all" if result.artifacts else ""
        lines += [f"timeline, its end{where}:"]
        lines += [f"  {line}" for line in events]
    return lines


def _without_source(result: CellResult, detail: str) -> CellResult:
    return CellResult(result.cell, result.status, result.expected, 0.0, detail)


def verdict_notes(result: CellResult) -> list[str]:
    """Return how a verdict relates to the expected one, and whether it was retried."""
    notes = []
    if result.unexpected:
        notes.append(f"expected {result.expected.value}, got {result.status.value}")
        if (result.status, result.expected) == (Status.PASS, Status.FAIL):
            notes.append(_no_longer(result.cell.tsm))
    elif result.status is Status.FAIL:
        own = result.cell.tsm.startswith(_OWN)
        reason = "" if own else ": this implementation is known to break the claim"
        notes.append(f"as expected{reason}")
    if result.infrastructure_retries:
        notes.append(f"retried {result.infrastructure_retries} times after a harness error")
    return notes


def _no_longer(tsm: str) -> str:
    """Explain a PASS of an implementation that is known to FAIL."""
    if tsm == "mainline":
        return (
            "fixed here: this kernel does not have the defect that other kernels are known to have"
        )
    return "the scenario did not notice the defect that this implementation is known to have"


def _print_references(result: CellResult, others: Sequence[CellResult], console: Console) -> None:
    if result.rerun:
        print_text(console, f"  rerun: {result.rerun}", copyable=True)
    if result.artifacts:
        print_text(console, f"  recorded: {result.artifacts}", copyable=True)
    if others:
        count = f"{len(others)} more {result.status.value}"
        claims = ", ".join(dict.fromkeys(other.cell.claim for other in others))
        print_text(console, f"  and {count} for the same reason: {claims}")
