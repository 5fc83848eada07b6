# SPDX-License-Identifier: MIT
"""The JUnit report for CI systems: one suite per kernel, core and provider.

An unexpected verdict is a failure, also if it is a SKIP; ERROR and MISS are errors. An expected
SKIP is skipped. An expected FAIL passes, with both statuses among its properties.
Characters that XML cannot carry are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import Properties, Property

from harness.oracle.printable import printable
from harness.report.json_report import write_atomically
from harness.verdict import CellResult, Status

__all__ = ["write_junit"]

MAX_TEXT = 65536
MAX_MESSAGE = 300


def write_junit(path: Path, results: Sequence[CellResult], host: Mapping[str, object]) -> None:
    """Write the report; raises HostError when the file cannot be written."""
    report = JUnitXml("tsm-harness")
    places = dict.fromkeys((r.cell.kernel, r.cell.tsm, r.cell.provider) for r in results)
    for place in places:
        suite = TestSuite(printable(" / ".join(place)))
        for name, value in host.items():
            suite.add_property(printable(name), printable(str(value)))
        for result in results:
            if (result.cell.kernel, result.cell.tsm, result.cell.provider) == place:
                suite.add_testcase(_case(result))
        report.add_testsuite(suite)
    report.update_statistics()  # type: ignore[no-untyped-call]
    write_atomically(path, bytes(report.tostring()))  # type: ignore[no-untyped-call]


def _case(result: CellResult) -> TestCase:
    cell = result.cell
    name = f"{cell.claim} {cell.scenario}" + (f" seed {cell.seed}" if cell.seed else "")
    case = TestCase(
        printable(name),
        printable(f"{cell.kernel}.{cell.tsm}.{cell.provider}"),
        round(result.duration_s, 3),
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
    detail = printable(result.detail, MAX_TEXT)
    message = detail.partition("\n")[0][:MAX_MESSAGE]
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
