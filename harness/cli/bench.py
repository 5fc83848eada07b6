# SPDX-License-Identifier: MIT
"""``bench``: the numbers, each beside its baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.bench import measure, virtme
from harness.cli import options
from harness.report.output import write_atomically
from harness.session import Session
from harness.settings import Settings

__all__ = ["bench"]


@dataclass(frozen=True)
class Row:
    """One number: its key, value and unit, what it is compared with, and that one's value."""

    key: str
    value: float
    unit: str
    against: str = ""
    baseline: float | None = None

    @property
    def ratio(self) -> str:
        """Value over baseline, or its inverse where that reads better."""
        if not self.baseline or not self.value:
            return ""
        if self.value < self.baseline:
            return f"1/{self.baseline / self.value:.1f}"
        return f"{self.value / self.baseline:.2f}"


@click.command()
@options.settings(one_cell=True, tsms="mainline")
@click.option(
    "--rounds", type=click.IntRange(1, 1000), default=9, help="Repetitions; medians count."
)
@click.option("--json", "json_file", type=options.OUTPUT_FILE, help="Numbers as JSON.")
def bench(settings: Settings, rounds: int, json_file: Path | None) -> None:
    """Measure boots, clones, operations, reports and a race, side by side in one run."""
    with Session(settings, options.progress()) as work:
        rows = _measure(work, settings, rounds)
        host = work.describe_host()
    _show(rows, Console(highlight=False, soft_wrap=True))
    if json_file is not None:
        values: dict[str, object] = {row.key: row.value for row in rows}
        baselines = {row.key: row.baseline for row in rows if row.baseline is not None}
        document = {"schema": 1, "host": host, **values, "baselines": baselines}
        write_atomically(json_file, (json.dumps(document, indent=1) + "\n").encode())


def _measure(work: Session, settings: Settings, rounds: int) -> list[Row]:
    kernel = settings.kernels[0]
    factory, base = work.factory(kernel), work.template(kernel, settings.tsms[0])
    posted = work.template(kernel, "class-posted")
    provider = work.provider(settings.providers[0], settings.seed)
    with work.progress.step("measuring boots"):
        cold = measure.cold_boot(factory)
    obstacle = virtme.obstacle(work.kernel(kernel))
    rival = None
    if not obstacle:
        with work.progress.step("measuring virtme-ng"):
            rival = virtme.virtme_ng(work.kernel(kernel), work.run_directory.subdirectory("virtme"))
    with work.progress.step("measuring clones"):
        clone = measure.clone(factory, base, rounds)
        pooled = measure.pool_clone(factory, base, rounds)
        private = measure.private_mib(factory, base)
    with work.progress.step("measuring operations"), factory.clone(base) as guest:
        operation, echo = measure.file_operation_and_echo(guest)
        report = measure.reports(guest, provider, rounds * 5)
    with work.progress.step("measuring signatures"):
        made, signature = measure.signing(provider)
    with work.progress.step("measuring a race"):
        race = measure.race(factory, posted, provider, rounds)
    return [
        Row("cold_boot_s", cold, "s", f"virtme-ng{obstacle and f' ({obstacle})'}", rival),
        Row("clone_s", clone, "s", "cold boot", cold),
        Row("pool_clone_s", pooled, "s", "clone", clone),
        Row("op_us", operation * 1e6, "µs", "raw echo", echo * 1e6),
        Row("echo_us", echo * 1e6, "µs"),
        Row("report_s", report, "s", "file operation", operation),
        Row("evidence_us", made * 1e6, "µs", "P-384 signature", signature * 1e6),
        Row("race_s", race, "s", "cold boot", cold),
        Row("clone_private_mib", private, "MiB", "guest memory", factory.emulator.memory_mib),
    ]


def _show(rows: Sequence[Row], console: Console) -> None:
    table = Table("number", "median", "baseline", "ratio", box=None)
    for row in rows:
        beside = f"{row.against} {row.baseline:.4g} {row.unit}" if row.baseline else row.against
        table.add_row(row.key, f"{row.value:.4g} {row.unit}", beside, row.ratio)
    console.print(table)
