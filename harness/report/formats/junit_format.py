# SPDX-License-Identifier: MIT
"""The run report as JUnit XML: one suite per kernel, implementation and provider.

An unexpected verdict is a failure, also if it is a SKIP; ERROR and MISS are errors. An expected
SKIP is skipped. An expected FAIL passes, with both statuses among its properties. Characters that
XML cannot carry are replaced.
"""

from __future__ import annotations

from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import Properties, Property

from harness.oracle.printable import printable
from harness.report.format import Format
from harness.report.output import write_atomically
from harness.verdict import Cell, CellResult, RunResult, Status

__all__ = ["FORMAT", "write"]

_MAX_TEXT = 65536
_MAX_MESSAGE = 300


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    document = JUnitXml("tsm-harness")
    for suite_key in dict.fromkeys(_suite_key(result.cell) for result in run.results):
        suite = TestSuite(printable(" / ".join(suite_key)))
        for name, value in run.host.items():
            suite.add_property(printable(name), printable(str(value)))
        for result in run.results:
            if _suite_key(result.cell) == suite_key:
                suite.add_testcase(_case(result))
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    write_atomically(path, bytes(document.tostring()))  # type: ignore[no-untyped-call]


def _suite_key(cell: Cell) -> tuple[str, str, str]:
    return cell.kernel, cell.tsm, cell.provider


def _case(result: CellResult) -> TestCase:
    cell = result.cell
    name = f"{cell.claim} {cell.scenario}" + (f" seed {cell.seed}" if cell.seed else "")
    case = TestCase(
        printable(name), printable(".".join(_suite_key(cell))), round(result.duration_s, 3)
    )
    properties = Properties()  # type: ignore[no-untyped-call]
    for key, value in _properties(result).items():
        properties.add_property(Property(key, printable(value)))
    case.append(properties)  # type: ignore[no-untyped-call]
    outcome = _outcome(result)
    if outcome is not None:
        case.append(outcome)  # type: ignore[no-untyped-call]
    return case


def _outcome(result: CellResult) -> Failure | Error | Skipped | None:
    detail = printable(result.detail, _MAX_TEXT)
    message = detail.partition("\n")[0][:_MAX_MESSAGE]
    if result.as_expected:
        return Skipped(message) if result.status is Status.SKIP else None
    element = Failure if result.unexpected else Error
    outcome = element(message or f"unexpected {result.status.value}", result.status.value)
    outcome.text = f"{detail}\n\nrerun: {printable(result.rerun)}"
    return outcome


def _properties(result: CellResult) -> dict[str, str]:
    properties = {
        "claim": result.cell.claim,
        "status": result.status.value,
        "expected": result.expected.value,
        "rerun": result.rerun,
    }
    if result.artifacts:
        properties["artifacts"] = str(result.artifacts)
    if result.infrastructure_retries:
        properties["infrastructure_retries"] = str(result.infrastructure_retries)
    return properties


FORMAT = Format("junit", "Write the verdicts as JUnit XML.", write)
