# SPDX-License-Identifier: MIT
"""``replay``: repeats the FAIL or finding that a bundle describes, also on another machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from harness.bundle import Outcome, read_bundle
from harness.claims.catalogue import claim_summaries
from harness.cli import options
from harness.cli.decide import Workers, decide, exit_status_of
from harness.cli.replay_program import kernel_note, replay_program
from harness.explore.program_json import FILE, RecordedProgram, read_program
from harness.progress import stderr_progress
from harness.report.explanation import explanation
from harness.report.table import print_report
from harness.report.text import print_text
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_UNEXPECTED, CellResult, RunResult

__all__ = ["replay"]


@click.command()
@click.argument(
    "bundles",
    metavar="BUNDLE...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True),
)
@click.option("--kernel", help="Kernel to boot, instead of the one that the bundle names.")
@click.option("--tsm", help="Implementation to test, instead of the one that the bundle names.")
@options.host_settings
def replay(
    bundles: tuple[Path, ...], kernel: str | None, tsm: str | None, host: dict[str, Any]
) -> int:
    """Repeat the FAIL in each BUNDLE, and compare the outcome with the recorded one.

    BUNDLE is the directory that a run recorded for a FAIL, or the bundle.json in it, or the
    directory of a finding of explore, whose program runs exactly as it is. A bundle may be a
    stranger's: it names kernels of packages only; one that was given by its path must be named with
    --kernel. The exit status is 0 for the same outcome of every bundle, 1 for another, 125 when
    there was no verdict.
    """
    read = [(each, *_read(each, kernel, tsm, host)) for each in bundles]
    statuses = []
    for bundle, settings, expected, program in read:
        if len(read) > 1:
            print_text(Console(highlight=False), f"{bundle}:")
        if program is not None:
            statuses.append(replay_program(program, expected, settings))
        else:
            run = decide(settings, Workers(1 if settings.times == 1 else 0))
            statuses.append(_compare(run, expected, settings))
            if run.interrupted:
                return statuses[-1]
    return EXIT_UNEXPECTED if EXIT_UNEXPECTED in statuses else max(statuses)


def _read(
    bundle: Path, kernel: str | None, tsm: str | None, host: dict[str, Any]
) -> tuple[Settings, Outcome, RecordedProgram | None]:
    """Check a bundle before anything runs: its settings, its outcome, and the program in it."""
    recorded = read_bundle(bundle, kernel=kernel, tsm=tsm)
    settings = replace(recorded.settings, **host)
    options.refuse_unused(settings)
    program = (bundle if bundle.is_dir() else bundle.parent) / FILE
    if not program.exists():
        return settings.check(), recorded.outcome, None
    options.refuse("artifacts", "the replay of a program records nothing")
    return settings.check(), recorded.outcome, read_program(program)


def _compare(run: RunResult, expected: Outcome, settings: Settings) -> int:
    """Print what the run of a bundle had for an outcome, and return the exit status."""
    results = [each for each in run.results if each.cell.scenario == expected.scenario]
    if run.interrupted or not any(each.decided for each in results):
        claims = claim_summaries(each.cell.claim for each in results)
        of_scenario = replace(run, results=results, claims=claims)
        print_report(of_scenario, Console())
        return exit_status_of(of_scenario)
    console = Console(highlight=False)
    digest = _compare_kernels(expected, settings, console)
    same = sum(expected.same_as(Outcome.of(each, each.cell.kernel, digest)) for each in results)
    _print_result(results[0], console)
    print_text(
        console,
        f"the same outcome {same} of {len(results)} times: {expected.status}, {expected.headline}",
    )
    return EXIT_AS_EXPECTED if same == len(results) else EXIT_UNEXPECTED


def _compare_kernels(expected: Outcome, settings: Settings, console: Console) -> str:
    """Return the digest of the kernel that ran; print a note when it is not the recorded one."""
    with Session(settings, stderr_progress()) as session:
        kernel = session.kernel(settings.kernels[0])
    if kernel.digest != expected.digest:
        print_text(console, kernel_note(kernel.release, expected.release))
    return kernel.digest


def _print_result(result: CellResult, console: Console) -> None:
    cell = result.cell
    print_text(console, f"{cell.claim} {cell.scenario}: {result.status.value}")
    for line in explanation(result, claim_summaries([cell.claim])):
        print_text(console, f"  {line}")
    for line in result.timeline:
        print_text(console, f"  {line}")
