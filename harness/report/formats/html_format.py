# SPDX-License-Identifier: MIT
"""The run report as one HTML page: verdict, what was run, what changed, claims, failures.

The evidence of a failure is read from the directory of its artifacts. Each piece is cut, and there
is a limit for all of them, so that the page stays small enough to be mailed.
"""

from __future__ import annotations

from pathlib import Path

from harness.report.compare import compare
from harness.report.details import skip_lines, verdict_notes
from harness.report.format import Format
from harness.report.output import write_atomically
from harness.report.page.changes import changes_of
from harness.report.page.environment import render
from harness.report.page.failures import failures_of
from harness.report.page.heading import facts_of, verdict_of
from harness.report.page.tables import tables_of
from harness.verdict import RunResult, Status, summary

__all__ = ["FORMAT", "write"]

_MEANINGS = {
    Status.PASS.value: "the demand of the claim holds",
    Status.FAIL.value: "the demand does not hold: the problem was observed",
    Status.SKIP.value: "the claim does not apply here",
    Status.ERROR.value: "the harness could not decide",
    Status.MISS.value: "the scenario was not run",
}


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    failures = failures_of(run.results)
    comparisons = [compare(run.results, pair) for pair in run.pairs]
    tables = tables_of(run, failures)
    page = render(
        "report.html.j2",
        run=run,
        verdict=verdict_of(run, comparisons),
        facts=facts_of(run),
        counts={status: count for status, count in summary(run.results).items() if count},
        unexpected=any(result.unexpected for result in run.results),
        comparisons=[(each, changes_of(each, failures)) for each in comparisons],
        tables=tables,
        rows={
            (table.kernel, table.provider, row.ident): row.anchor
            for table in tables
            for row in table.rows
        },
        failures=failures,
        skipped=skip_lines(run.results),
        notes_on=verdict_notes,
        meanings=_MEANINGS,
    )
    write_atomically(path, page)


FORMAT = Format("html", "Write the verdicts and the evidence as one HTML page.", write)
