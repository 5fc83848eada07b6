# SPDX-License-Identifier: MIT
"""Prints what an exploration has found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.explore.coverage import Coverage
from harness.explore.explore import Exploration, Finding
from harness.explore.record import write_finding
from harness.explore.show import rows, title
from harness.explore.systematic import Part
from harness.model.interface import InterfaceVersion
from harness.oracle.printable import printable
from harness.report.text import print_text
from harness.session import Session
from harness.settings import Settings

__all__ = ["print_coverage", "print_findings", "print_part", "print_result", "print_rows"]


def print_part(console: Console, part: Part, result: Exploration) -> None:
    """Print the counts of one part in a line."""
    rate = result.programs / result.seconds if result.seconds else 0.0
    print_text(
        console,
        f"{part}: {len(result.findings)} {_plural('finding', len(result.findings))}; "
        f"{result.programs} {_plural('program', result.programs)}, {result.steps} operations in "
        f"{result.seconds:.1f} s ({rate:.1f} programs a second)",
    )


def print_coverage(console: Console, coverage: Coverage) -> None:
    """Print which part of the model was visited."""
    for line in coverage.summary():
        print_text(console, line)


def print_findings(
    console: Console,
    findings: Sequence[Finding],
    version: InterfaceVersion,
    settings: Settings,
    session: Session,
) -> None:
    """Print each finding as a table of operation and result, and record it."""
    for number, finding in enumerate(findings, 1):
        where = write_finding(settings.artifacts, finding, version, settings, session, number)
        print_text(console, f"\n{title(finding)}")
        print_rows(console, finding, version)
        if where is not None:
            print_text(console, f"recorded: {where}", copyable=True)


def print_rows(console: Console, finding: Finding, version: InterfaceVersion) -> None:
    """Print the table of a finding."""
    table = Table(box=box.ASCII, show_lines=True)
    table.add_column("operation", overflow="fold")
    table.add_column("result", overflow="fold")
    for operation, result in rows(finding, version):
        table.add_row(Text(printable(operation)), Text(printable(result)))
    console.print(table)


def print_result(console: Console, findings: Sequence[Finding], programs: int) -> None:
    """Print in words whether anything disagrees with the model: the last line."""
    if not findings:
        text = f"nothing disagrees with the model in {programs} {_plural('program', programs)}"
    else:
        claims = Counter(finding.disagreement.claim for finding in findings)
        each = ", ".join(f"{claim}: {number}" for claim, number in sorted(claims.items()))
        known = sum(bool(finding.disagreement.known) for finding in findings)
        number = len(findings)
        text = f"{number} {_plural('sequence', number)} {'disagree' if number > 1 else 'disagrees'}"
        text += f" with the model ({each}); claims of the catalogue describe {known}"
    print_text(console, f"\n{text}")


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
