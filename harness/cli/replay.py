# SPDX-License-Identifier: MIT
"""``replay``: one FAIL again, perhaps on another machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from harness.cli import options
from harness.cli.decide import Where, decide
from harness.oracle.printable import printable
from harness.report.bundle import Bundle, gist, read_bundle
from harness.report.table import print_report
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED, CellResult

__all__ = ["replay"]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--kernel", help="Another kernel than the bundle's.")
@click.option("--times", type=click.IntRange(1, 100_000), default=1, help="How often.")
@options.cache_option
@options.artifacts
def replay(
    bundle: Path, kernel: str | None, times: int, cache: Path | None, artifacts: Path
) -> int:
    """Repeat what BUNDLE recorded, and say whether the outcome is the same.

    BUNDLE is the directory that a FAIL left, or the bundle.json in it. The exit status is 0 for
    the same outcome, 1 for another, 125 when none could be reached.
    """
    told = read_bundle(bundle)
    settings = Settings(
        kernels=(kernel or told.kernel,),
        tsms=(told.tsm,),
        providers=(told.provider,),
        claims=(told.claim,),
        seed=told.seed,
        times=times,
        smp=told.smp,
        memory_mib=told.memory_mib,
        cache=cache,
        artifacts=artifacts,
    ).check()
    outcome = decide(settings, Where(1 if times == 1 else 0))
    mine = [one for one in outcome.results if one.cell.scenario == told.scenario]
    if outcome.interrupted or not any(one.decided for one in mine):
        print_report(mine, Console())
        return EXIT_NO_VERDICT
    console = Console(highlight=False, soft_wrap=True)
    _say_kernel(told, settings, console)
    same = sum(_same(one, told) for one in mine)
    for one in mine[:1]:
        console.print(printable(f"{one.cell.claim} {one.cell.scenario}: {one.status.value}"))
        console.print(printable(one.detail), markup=False)
        for line in one.timeline:
            console.print(f"  {printable(line)}", markup=False)
    console.print(f"the same outcome {same} of {len(mine)} times: {told.status}, {told.gist}",
                  markup=False)  # fmt: skip
    return EXIT_AS_EXPECTED if same == len(mine) else EXIT_UNEXPECTED


def _same(result: CellResult, told: Bundle) -> bool:
    return result.status.value == told.status and gist(result.detail) == told.gist


def _say_kernel(told: Bundle, settings: Settings, console: Console) -> None:
    with Session(replace(settings), options.progress()) as bench:
        found = bench.kernel(settings.kernels[0])
    if found.digest != told.digest:
        console.print(f"the kernel is not the same: {found.release}, not {told.release}, "
                      "or another build of it")  # fmt: skip
