# SPDX-License-Identifier: MIT
"""The run report as JUnit XML: one suite per kernel, implementation and provider.

An unexpected verdict is a failure, also if it is a SKIP; ERROR and MISS are errors. An expected
SKIP is skipped. An expected FAIL passes. Both statuses are in the output of a test case, since the
schema of Jenkins (junit-10.xsd of its xunit plugin), to which the document is valid, has no
properties there. Characters that XML cannot carry are replaced.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from junitparser import Error, Failure, Skipped
from junitparser.xunit2 import JUnitXml, TestCase, TestSuite

from harness.oracle.printable import printable
from harness.report.explanation import explanation
from harness.report.format import Format
from harness.report.output import write_atomically
from harness.verdict import Cell, CellResult, ClaimSummary, RunResult, Status

__all__ = ["FORMAT", "write"]

_MAX_TEXT = 65536
_MAX_MESSAGE = 300


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    document = JUnitXml("tsm-harness")
    for suite_key in dict.fromkeys(_suite_key(result.cell) for result in run.results):
        suite = TestSuite(printable(" / ".join(suite_key)))  # type: ignore[no-untyped-call]
        for name, value in run.host.items():
            suite.add_property(printable(name), printable(str(value)))
        for result in run.results:
            if _suite_key(result.cell) == suite_key:
                suite.add_testcase(_case(result, run.claims))
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    write_atomically(path, bytes(document.tostring()))  # type: ignore[no-untyped-call]


def _suite_key(cell: Cell) -> tuple[str, str, str]:
    return cell.kernel, cell.tsm, cell.provider


def _case(result: CellResult, claims: Mapping[str, ClaimSummary]) -> TestCase:
    cell = result.cell
    name = f"{cell.claim} {cell.scenario}" + (f" seed {cell.seed}" if cell.seed else "")
    case = TestCase(
        printable(name), printable(".".join(_suite_key(cell))), round(result.duration_s, 3)
    )
    outcome = _outcome(result, claims)
    if outcome is not None:
        case.append(outcome)  # type: ignore[no-untyped-call]
    facts = [f"{key}: {printable(value)}" for key, value in _facts(result).items()]
    if outcome is None and result.status is Status.FAIL:
        facts += _explanation(result, claims)
    case.system_out = "\n".join(facts)
    return case


def _outcome(
    result: CellResult, claims: Mapping[str, ClaimSummary]
) -> Failure | Error | Skipped | None:
    detail = printable(result.detail, _MAX_TEXT)
    message = detail.partition("\n")[0][:_MAX_MESSAGE]
    if result.as_expected:
        return Skipped(message) if result.status is Status.SKIP else None
    element = Failure if result.unexpected else Error
    outcome = element(message or f"unexpected {result.status.value}", result.status.value)
    lines = [*_explanation(result, claims), "", f"rerun: {printable(result.rerun)}"]
    outcome.text = "\n".join(lines)
    return outcome


def _explanation(result: CellResult, claims: Mapping[str, ClaimSummary]) -> list[str]:
    return explanation(replace(result, detail=printable(result.detail, _MAX_TEXT)), claims)


def _facts(result: CellResult) -> dict[str, str]:
    facts = {
        "claim": result.cell.claim,
        "status": result.status.value,
        "expected": result.expected.value,
        "rerun": result.rerun,
    }
    if result.artifacts:
        facts["artifacts"] = str(result.artifacts)
    if result.infrastructure_retries:
        facts["infrastructure_retries"] = str(result.infrastructure_retries)
    return facts


FORMAT = Format("junit", "Write the verdicts as JUnit XML.", write)
