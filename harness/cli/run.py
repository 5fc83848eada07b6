# SPDX-License-Identifier: MIT
"""``run``, the main job, and ``reproduce``, one claim many times."""

from __future__ import annotations

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.cli import options
from harness.cli.live import LiveRun
from harness.plugin.options import DEFAULT_KERNEL, DEFAULT_PROVIDER, DEFAULT_TSMS, Settings
from harness.report.json_report import write_json
from harness.report.junit import write_junit
from harness.report.table import print_report
from harness.report.verdict import EXIT_NO_VERDICT, CellResult, Status, exit_status
from harness.runner import Outcome, run_cells

__all__ = ["reproduce", "run"]

_MAX_WORKERS = 64
_Workers = Annotated[
    int, typer.Option("-n", min=0, max=_MAX_WORKERS, help="guests side by side; 0: one per core")
]
_Artifacts = Annotated[Path, typer.Option("--artifacts", help="where evidence is kept")]
_DEFAULT_ARTIFACTS = Path("tsm-harness-results")


def run(
    claims: Annotated[list[str] | None, typer.Argument(metavar="[CLAIM]...")] = None,
    kernel: options.Kernels = None,
    tsm: options.Tsms = None,
    provider: options.Providers = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="verdicts as JSON")] = None,
    junit_file: Annotated[Path | None, typer.Option("--junit", help="verdicts as JUnit")] = None,
    workers: _Workers = 0,
    seed: options.Seed = 0,
    artifacts: _Artifacts = _DEFAULT_ARTIFACTS,
    cache: options.CacheDir = None,
    kernel_build: options.Build = None,
    qemu: options.Qemu = None,
    smp: options.Smp = 1,
    memory: options.Memory = 256,
) -> int:
    """Decide claims on kernels and TSM cores; without arguments, all of them on debian:6.12."""
    settings = Settings(
        kernels=tuple(kernel or [DEFAULT_KERNEL]),
        tsms=tuple(tsm or DEFAULT_TSMS),
        providers=tuple(provider or [DEFAULT_PROVIDER]),
        claims=tuple(claims or ()),
        seed=seed,
        artifacts=artifacts.absolute(),
        cache=cache,
        build=kernel_build,
        qemu=qemu,
        smp=smp,
        memory_mib=memory,
    ).check()
    outcome = _run(settings, workers)
    if json_file is not None:
        write_json(json_file, outcome.results, outcome.host)
    if junit_file is not None:
        write_junit(junit_file, outcome.results, outcome.host)
    print_report(outcome.results, Console())
    return EXIT_NO_VERDICT if outcome.interrupted else exit_status(outcome.results)


def reproduce(
    claim: Annotated[str, typer.Argument(metavar="CLAIM")],
    times: Annotated[int, typer.Option(min=1, max=1_000_000, help="how often")] = 20,
    kernel: options.OneKernel = DEFAULT_KERNEL,
    tsm: options.OneTsm = "as-posted",
    provider: options.OneProvider = DEFAULT_PROVIDER,
    workers: _Workers = 0,
    seed: options.Seed = 0,
    artifacts: _Artifacts = _DEFAULT_ARTIFACTS,
    cache: options.CacheDir = None,
    kernel_build: options.Build = None,
    qemu: options.Qemu = None,
    smp: options.Smp = 1,
    memory: options.Memory = 256,
) -> int:
    """Run one claim many times, each in a fresh clone; print hits, rate and time.

    The seed moves by one each time.
    """
    settings = Settings(
        kernels=(kernel,),
        tsms=(tsm,),
        providers=(provider,),
        claims=(claim,),
        seed=seed,
        times=times,
        artifacts=artifacts.absolute(),
        cache=cache,
        build=kernel_build,
        qemu=qemu,
        smp=smp,
        memory_mib=memory,
    ).check()
    outcome = _run(settings, workers)
    console = Console(highlight=False, soft_wrap=True)
    for line in _rates(outcome.results):
        console.print(line, markup=False)
    return EXIT_NO_VERDICT if outcome.interrupted else exit_status(outcome.results)


def _run(settings: Settings, workers: int) -> Outcome:
    cores = len(os.sched_getaffinity(0))
    with LiveRun(options.progress()) as live:
        return run_cells(settings, workers or cores, live.progress, live.result, live.start)


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
        lines += [f"  {count} × {status.value}" for status, count in others.items()]
        words = Counter(result.detail.splitlines()[0] for result in mine if result.detail)
        lines += [f"  {count} × {word}" for word, count in words.most_common(5)]
    return lines
