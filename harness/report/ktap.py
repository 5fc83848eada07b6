# SPDX-License-Identifier: MIT
"""The KTAP report, version 1 (Documentation/dev-tools/ktap.rst): place, claim, scenario, nested.

A result is ``ok`` when it is as expected: also a FAIL that was expected, which a diagnostic line
before it says. SKIP is ok with the directive; ERROR and MISS are ``not ok``, and say so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.oracle.printable import printable
from harness.report.json_report import write_atomically
from harness.verdict import CellResult, Status

__all__ = ["ktap_lines", "write_ktap"]

_INDENT = "  "
_MOST_LINES = 60
_NOT_IN_A_NAME = re.compile(r"[#\\\s]+")


def write_ktap(path: Path, results: Sequence[CellResult]) -> None:
    """Write the report; raises HostError when the file cannot be written."""
    write_atomically(path, "".join(f"{line}\n" for line in ktap_lines(results)).encode())


def ktap_lines(results: Sequence[CellResult]) -> list[str]:
    """The report, line by line."""
    return ["KTAP version 1", *_level(results, (_place, _claim))]


def _place(result: CellResult) -> str:
    cell = result.cell
    return f"{cell.kernel}, {cell.tsm}, {cell.provider}"


def _claim(result: CellResult) -> str:
    return result.cell.claim


def _level(
    results: Sequence[CellResult], names: Sequence[Callable[[CellResult], str]]
) -> Iterator[str]:
    """A plan and the results of one level; all below one are nested in front of it."""
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
    if skip is None and (result.status is not Status.PASS or not result.as_expected):
        told = [f"{result.status.value}, expected {result.expected.value}"]
        told += printable(result.detail).splitlines()[:_MOST_LINES]
        told += [f"rerun: {printable(result.rerun)}"] if not result.as_expected else []
        yield from (f"# {line}".rstrip() for text in told for line in text.splitlines())
    cell = result.cell
    name = f"{cell.scenario} seed {cell.seed}" if cell.seed else cell.scenario
    yield _line(number, name, good=result.as_expected, skip=skip)


def _line(number: int, name: str, *, good: bool, skip: str | None) -> str:
    directive = "" if skip is None else f" # SKIP {skip}".rstrip()
    return f"{'ok' if good else 'not ok'} {number} {_name(name)}{directive}"


def _name(text: str) -> str:
    """A description: one word for parsers that end it at a blank, without what starts a comment."""
    return _NOT_IN_A_NAME.sub("_", printable(text))
