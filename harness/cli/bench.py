# SPDX-License-Identifier: MIT
"""``bench``: measures the harness, and compares each number with a baseline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.bench import exploration, measure, virtme
from harness.cli import options
from harness.progress import stderr_progress
from harness.report.output import write_atomically
from harness.session import Session
from harness.settings import Settings

__all__ = ["bench"]


@dataclass(frozen=True)
class Row:
    """One number with its unit, and the baseline it is compared with."""

    key: str
    value: float
    unit: str
    baseline_name: str = ""
    baseline: float | None = None

    @property
    def ratio(self) -> str:
        """Value over baseline, as ``1/N`` when it is less than 1."""
        if not self.baseline or not self.value:
            return ""
        if self.value < self.baseline:
            return f"1/{self.baseline / self.value:.1f}"
        return f"{self.value / self.baseline:.2f}"


@click.command()
@options.settings(one_cell=True, tsms="mainline")
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=9,
    show_default=True,
    help="Repetitions of each measurement; the median counts.",
)
@click.option(
    "--json", "json_file", type=options.OUTPUT_FILE, help="Write the numbers to FILE as JSON."
)
def bench(settings: Settings, rounds: int, json_file: Path | None) -> None:
    """Measure boots, clones, operations, reports, a race and exploration.

    Each number is compared with a baseline that is measured in the same run.
    """
    with Session(settings, stderr_progress()) as session:
        rows = _measure(session, settings, rounds)
        host = session.describe_host()
    _print_table(rows, Console(highlight=False))
    if json_file is not None:
        values: dict[str, object] = {row.key: row.value for row in rows}
        baselines = {row.key: row.baseline for row in rows if row.baseline is not None}
        document = {"schema": 1, "host": host, **values, "baselines": baselines}
        write_atomically(json_file, (json.dumps(document, indent=1) + "\n").encode())


def _measure(session: Session, settings: Settings, rounds: int) -> list[Row]:
    kernel = settings.kernels[0]
    factory, base = session.factory(kernel), session.template(kernel, settings.tsms[0])
    posted = session.template(kernel, "class-posted")
    provider = session.provider(settings.providers[0], settings.seed)
    step = session.progress.step
    with step("measuring boots"):
        cold = measure.cold_boot(factory)
    obstacle, virtme_s = virtme.obstacle(session.kernel(kernel)), None
    if not obstacle:
        with step("measuring virtme-ng"):
            scratch = session.run_directory.subdirectory("virtme")
            virtme_s = virtme.virtme_ng(session.kernel(kernel), scratch)
    with step("measuring clones"):
        clone = measure.clone(factory, base, rounds)
        pooled = measure.pool_clone(factory, base, rounds)
        private = measure.private_mib(factory, base)
    with step("measuring operations"), factory.clone(base) as guest:
        operation, echo = measure.file_operation_and_echo(guest)
        report = measure.reports(guest, provider, rounds * 5)
    with step("measuring signatures"):
        evidence, signature = measure.signing(provider)
    with step("measuring a race"):
        race = measure.race(factory, posted, provider, rounds)
    with step("measuring exploration"):
        sequence, step_s = exploration.sequences(session, kernel, settings.tsms[0], rounds)
        found = exploration.time_to_find(session, kernel)
    return [
        Row("cold_boot_s", cold, "s", f"virtme-ng{obstacle and f' ({obstacle})'}", virtme_s),
        Row("clone_s", clone, "s", "cold boot", cold),
        Row("pool_clone_s", pooled, "s", "clone", clone),
        Row("op_us", operation * 1e6, "µs", "raw echo", echo * 1e6),
        Row("echo_us", echo * 1e6, "µs"),
        Row("report_s", report, "s", "file operation", operation),
        Row("evidence_us", evidence * 1e6, "µs", "P-384 signature", signature * 1e6),
        Row("race_s", race, "s", "cold boot", cold),
        Row("sequence_s", sequence, "s", "clone from the pool", pooled),
        Row("sequence_op_us", step_s * 1e6, "µs", "file operation", operation * 1e6),
        Row("find_defect_s", found, "s", "sequence", sequence),
        Row("clone_private_mib", private, "MiB", "guest memory", factory.emulator.memory_mib),
    ]


def _print_table(rows: Sequence[Row], console: Console) -> None:
    table = Table(box=None)
    for head in ("number", "median", "baseline", "ratio"):
        table.add_column(head, overflow="fold")
    for row in rows:
        baseline = row.baseline_name
        if row.baseline:
            baseline += f" {row.baseline:.4g} {row.unit}"
        table.add_row(row.key, f"{row.value:.4g} {row.unit}", baseline, row.ratio)
    console.print(table, soft_wrap=not console.is_terminal)
