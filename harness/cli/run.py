# SPDX-License-Identifier: MIT
"""``run``, the main job, and ``reproduce``, one claim many times."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from harness.claims import undecided_claims
from harness.cli import options
from harness.cli.live import LiveRun
from harness.oracle.printable import printable
from harness.report.html_report import write_html
from harness.report.json_report import write_json
from harness.report.junit import write_junit
from harness.report.ktap import write_ktap
from harness.report.table import print_report
from harness.report.verdict import EXIT_NO_VERDICT, CellResult, Status, exit_status
from harness.runner import Outcome, run_cells
from harness.settings import Settings

__all__ = ["decide", "reproduce", "run"]


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.many_cells
@click.option("--json", "json_file", type=options.OUTPUT_FILE, help="Verdicts as JSON.")
@click.option("--junit", "junit_file", type=options.OUTPUT_FILE, help="Verdicts as JUnit.")
@click.option("--ktap", "ktap_file", type=options.OUTPUT_FILE, help="Verdicts as KTAP.")
@click.option("--html", "html_file", type=options.OUTPUT_FILE, help="Verdicts and evidence.")
@click.option("--times", type=click.IntRange(1, 100_000), default=1, help="Repeat every cell.")
@options.workers
@options.artifacts
def run(settings: Settings, workers: int, **files: Path | None) -> int:
    """Decide claims on kernels and TSM cores.

    Without arguments: every claim on debian:6.12 with the cores as-posted, revised and mainline.
    """
    outcome = decide(settings, workers)
    undecided = {} if settings.claims else undecided_claims()
    print_report(outcome.results, Console(), undecided, outcome.notes)
    write_reports(files, outcome, undecided)
    return EXIT_NO_VERDICT if outcome.interrupted else exit_status(outcome.results)


@click.command()
@click.argument("claim")
@options.one_cell("as-posted")
@click.option(
    "--times", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How often."
)
@options.workers
@options.artifacts
def reproduce(settings: Settings, claim: str, workers: int) -> int:
    """Run one claim many times, each in a fresh clone; print hits, rate and time.

    The seed moves by one each time.
    """
    outcome = decide(replace(settings, claims=(claim,)).check(), workers)
    console = Console(highlight=False, soft_wrap=True)
    for line in _rates(outcome.results):
        console.print(printable(line), markup=False)
    return EXIT_NO_VERDICT if outcome.interrupted else exit_status(outcome.results)


def write_reports(
    files: Mapping[str, Path | None], outcome: Outcome, undecided: Mapping[str, str]
) -> None:
    """Write the reports whose files were named; raises HostError when one cannot be."""
    results, host, notes = outcome.results, outcome.host, outcome.notes
    if path := files.get("json_file"):
        write_json(path, results, host, undecided, notes)
    if path := files.get("junit_file"):
        write_junit(path, results, host)
    if path := files.get("ktap_file"):
        write_ktap(path, results)
    if path := files.get("html_file"):
        write_html(path, results, host, undecided, notes)


def decide(settings: Settings, workers: int) -> Outcome:
    """Run the cells that the settings name, showing progress; ``workers`` 0: one per core."""
    cores = len(os.sched_getaffinity(0))
    with LiveRun(options.progress()) as live:
        outcome = run_cells(settings, workers or cores, live.progress, live.result, live.start)
    if outcome.interrupted:
        Console(stderr=True).print("interrupted: what was decided until then follows")
    return outcome


def _rates(results: Sequence[CellResult]) -> list[str]:
    lines = []
    for scenario in sorted({result.cell.scenario for result in results}):
        mine = [result for result in results if result.cell.scenario == scenario]
        counts = Counter(result.status for result in mine)
        hits, decided = counts[Status.FAIL], counts[Status.FAIL] + counts[Status.PASS]
        rate = f"{hits / decided:.1%}" if decided else "no verdict"
        seconds = [result.duration_s for result in mine]
        lines.append(
            f"{mine[0].cell.claim} {scenario}: {hits} of {len(mine)} reproduced it ({rate}); "
            f"median {statistics.median(seconds):.3f} s, longest {max(seconds):.3f} s"
        )
        others = {s: n for s, n in counts.items() if s not in (Status.FAIL, Status.PASS)}
        lines += [f"  {count} times {status.value}" for status, count in others.items()]
        words = Counter(_gist(result.detail) for result in mine if result.detail)
        lines += [f"  {count} times {word}" for word, count in words.most_common(5)]
    return lines


def _gist(detail: str) -> str:
    """The line that says most: the second where the first only introduces it."""
    first, *others = detail.splitlines()
    return others[0].strip() if first.endswith(":") and others else first
