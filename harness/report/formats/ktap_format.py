# SPDX-License-Identifier: MIT
"""The run report as KTAP, version 1 (Documentation/dev-tools/ktap.rst).

The levels are: kernel, implementation and provider; claim; scenario. A result is ``ok`` if it is
as expected. A diagnostic line before it has both statuses, unless it is an expected PASS or SKIP.
An expected SKIP is ``ok`` with the directive SKIP, an expected FAIL is ``ok`` with XFAIL: the
parser of tools/testing/kunit takes every directive but SKIP as text, and counts it as passed.
ERROR and MISS are ``not ok`` with the directive ERROR.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from harness.oracle.printable import printable
from harness.report.compare import compare
from harness.report.compare_text import comparison_lines
from harness.report.explanation import explanation
from harness.report.format import Format
from harness.report.output import write_atomically
from harness.verdict import CellResult, ClaimSummary, RunResult, Status, headline

__all__ = ["FORMAT", "ktap_lines", "write"]

_INDENT = "  "
_MAX_DETAIL_LINES = 60
_DIRECTIVES = {Status.SKIP: "SKIP", Status.FAIL: "XFAIL"}  # of results that are as expected
_END = re.compile(r"(not syncing|System halted|List of all partitions|reboot):")  # kunit_parser.py
_NOT_IN_A_NAME = re.compile(r"[#\\\s]+")


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    header, *lines = ktap_lines(run.results, run.claims)
    changed = [line for pair in run.pairs for line in comparison_lines(compare(run.results, pair))]
    text = "\n".join([header, *map(_diagnostic, changed), *lines])
    write_atomically(path, f"{text}\n".encode())


def ktap_lines(
    results: Sequence[CellResult], claims: Mapping[str, ClaimSummary] = MappingProxyType({})
) -> list[str]:
    """Return the lines of the run report; ``claims`` describes the claims by id."""
    return ["KTAP version 1", *_level(results, (_configuration, _claim), claims)]


def _configuration(result: CellResult) -> str:
    cell = result.cell
    return f"{cell.kernel}, {cell.tsm}, {cell.provider}"


def _claim(result: CellResult) -> str:
    return result.cell.claim


def _level(
    results: Sequence[CellResult],
    names: Sequence[Callable[[CellResult], str]],
    claims: Mapping[str, ClaimSummary],
) -> Iterator[str]:
    """Yield a plan and the results of one level; a group's own results precede its line."""
    if not names:
        yield f"1..{len(results)}"
        for number, result in enumerate(results, 1):
            yield from _result(number, result, claims)
        return
    name_of, *deeper = names
    groups = list(dict.fromkeys(map(name_of, results)))
    yield f"1..{len(groups)}"
    for number, group in enumerate(groups, 1):
        members = [result for result in results if name_of(result) == group]
        yield f"{_INDENT}KTAP version 1"
        yield f"{_INDENT}# Subtest: {_name(group)}"
        yield from (f"{_INDENT}{line}" for line in _level(members, deeper, claims))
        good = all(result.as_expected for result in members)
        skipped = good and all(result.status is Status.SKIP for result in members)
        yield _line(number, group, good=good, directive="SKIP" if skipped else "")


def _result(number: int, result: CellResult, claims: Mapping[str, ClaimSummary]) -> Iterator[str]:
    if result.status not in (Status.PASS, Status.SKIP) or not result.as_expected:
        diagnostics = [f"{result.status.value}, expected {result.expected.value}"]
        diagnostics += explanation(result, claims, limit=_MAX_DETAIL_LINES)
        diagnostics += [] if result.as_expected else [f"rerun: {printable(result.rerun)}"]
        yield from (_diagnostic(line) for text in diagnostics for line in text.splitlines())
    cell = result.cell
    name = f"{cell.scenario} seed {cell.seed}" if cell.seed else cell.scenario
    yield _line(number, name, good=result.as_expected, directive=_directive(result))


def _directive(result: CellResult) -> str:
    """Return the directive and its reason; empty for a plain ``ok`` or ``not ok``."""
    if result.status in (Status.ERROR, Status.MISS):
        name = "ERROR"
    elif result.as_expected and result.status in _DIRECTIVES:
        name = _DIRECTIVES[result.status]
    else:
        return ""
    # A second # would make the parser of tools/testing/kunit look for another directive.
    return f"{name} {printable(headline(result.detail)).replace('#', '')}".strip()


def _diagnostic(line: str) -> str:
    """Return a line of text that no parser takes for a header or for the end of the output."""
    text = _END.sub(r"\1 :", line)
    return (f"#  {text}" if text.startswith("Subtest") else f"# {text}").rstrip()


def _line(number: int, name: str, *, good: bool, directive: str = "") -> str:
    text = f"{'ok' if good else 'not ok'} {number} {_name(name)}"
    return f"{text} # {directive}" if directive else text


def _name(text: str) -> str:
    """Return a description without blanks, at which some parsers end it, and without ``#``."""
    return _NOT_IN_A_NAME.sub("_", printable(text))


FORMAT = Format("ktap", "Write the verdicts as KTAP.", write)
