# SPDX-License-Identifier: MIT
"""The run report as KTAP, version 1 (Documentation/dev-tools/ktap.rst).

The levels are: kernel, implementation and provider; claim; scenario. A result is ``ok`` if it is
as expected. A diagnostic line before it has both statuses, unless it is an expected PASS or SKIP.
An expected SKIP is ``ok`` with the SKIP directive; ERROR and MISS are ``not ok``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.oracle.printable import printable
from harness.report.format import Format
from harness.report.output import write_atomically
from harness.verdict import CellResult, RunResult, Status

__all__ = ["FORMAT", "ktap_lines", "write"]

_INDENT = "  "
_MAX_DETAIL_LINES = 60
_NOT_IN_A_NAME = re.compile(r"[#\\\s]+")


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    write_atomically(path, "".join(f"{line}\n" for line in ktap_lines(run.results)).encode())


def ktap_lines(results: Sequence[CellResult]) -> list[str]:
    """Return the lines of the run report."""
    return ["KTAP version 1", *_level(results, (_configuration, _claim))]


def _configuration(result: CellResult) -> str:
    cell = result.cell
    return f"{cell.kernel}, {cell.tsm}, {cell.provider}"


def _claim(result: CellResult) -> str:
    return result.cell.claim


def _level(
    results: Sequence[CellResult], names: Sequence[Callable[[CellResult], str]]
) -> Iterator[str]:
    """Yield a plan and the results of one level; a group's own results precede its line."""
    if not names:
        yield f"1..{len(results)}"
        for number, result in enumerate(results, 1):
            yield from _result(number, result)
        return
    name_of, *deeper = names
    groups = list(dict.fromkeys(map(name_of, results)))
    yield f"1..{len(groups)}"
    for number, group in enumerate(groups, 1):
        members = [result for result in results if name_of(result) == group]
        yield f"{_INDENT}KTAP version 1"
        yield f"{_INDENT}# Subtest: {_name(group)}"
        yield from (f"{_INDENT}{line}" for line in _level(members, deeper))
        good = all(result.as_expected for result in members)
        skipped = good and all(result.status is Status.SKIP for result in members)
        yield _line(number, group, good=good, skip="" if skipped else None)


def _result(number: int, result: CellResult) -> Iterator[str]:
    skipped = result.as_expected and result.status is Status.SKIP
    skip = printable(result.detail.partition("\n")[0]) if skipped else None
    if not skipped and (result.status is not Status.PASS or not result.as_expected):
        diagnostics = [f"{result.status.value}, expected {result.expected.value}"]
        diagnostics += printable(result.detail).splitlines()[:_MAX_DETAIL_LINES]
        diagnostics += [] if result.as_expected else [f"rerun: {printable(result.rerun)}"]
        yield from (f"# {line}".rstrip() for text in diagnostics for line in text.splitlines())
    cell = result.cell
    name = f"{cell.scenario} seed {cell.seed}" if cell.seed else cell.scenario
    yield _line(number, name, good=result.as_expected, skip=skip)


def _line(number: int, name: str, *, good: bool, skip: str | None) -> str:
    directive = "" if skip is None else f" # SKIP {skip}".rstrip()
    return f"{'ok' if good else 'not ok'} {number} {_name(name)}{directive}"


def _name(text: str) -> str:
    """Return a description without blanks, at which some parsers end it, and without ``#``."""
    return _NOT_IN_A_NAME.sub("_", printable(text))


FORMAT = Format("ktap", "Write the verdicts as KTAP.", write)
