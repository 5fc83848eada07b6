# SPDX-License-Identifier: MIT
"""The report files a run can write."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

from harness.cli import options
from harness.report.html_report import write_html
from harness.report.json_report import write_json
from harness.report.junit import write_junit
from harness.report.kcidb import write_kcidb
from harness.report.ktap import write_ktap
from harness.verdict import RunResult

__all__ = ["ReportFiles", "report_files"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class ReportFiles:
    """Which files were asked for."""

    json: Path | None
    junit: Path | None
    ktap: Path | None
    html: Path | None
    kcidb: Path | None
    origin: str

    def write(self, outcome: RunResult, undecided: Mapping[str, str]) -> None:
        """Write them; raises HostError when one cannot be."""
        results, host, notes = outcome.results, outcome.host, outcome.notes
        if self.json:
            write_json(self.json, results, host, undecided, notes)
        if self.junit:
            write_junit(self.junit, results, host)
        if self.ktap:
            write_ktap(self.ktap, results)
        if self.html:
            write_html(self.html, results, host, undecided, notes)
        if self.kcidb:
            write_kcidb(self.kcidb, results, host, self.origin)


def report_files(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command an option for each format, and ``reports``."""

    @functools.wraps(command)
    def wrapper(**words: object) -> R:
        named = {name: words.pop(f"{name}_file") for name in _FORMATS}
        origin = words.pop("kcidb_origin")
        reports = ReportFiles(**named, origin=str(origin))  # type: ignore[arg-type]
        return command(reports=reports, **words)

    origin = click.option(
        "--kcidb-origin", default="tsm_harness", show_default=True, help="Who sends it."
    )
    wrapper = origin(wrapper)
    for name, what in reversed(_FORMATS.items()):
        option = click.option(f"--{name}", f"{name}_file", type=options.OUTPUT_FILE, help=what)
        wrapper = option(wrapper)
    return wrapper


_FORMATS = {
    "json": "Verdicts as JSON.",
    "junit": "Verdicts as JUnit.",
    "ktap": "Verdicts as KTAP.",
    "html": "Verdicts and evidence, to be looked at.",
    "kcidb": "Verdicts as KCIDB takes them.",
}
