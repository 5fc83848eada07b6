# SPDX-License-Identifier: MIT
"""``images``: lists, fills, verifies and prunes the cache."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.cache import Cache
from harness.cli import options
from harness.cli.groups import Group
from harness.errors import HarnessError
from harness.paths import cache_directory
from harness.prepare import prepare
from harness.progress import stderr_progress
from harness.report.text import print_text
from harness.session import Session
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_UNEXPECTED
from providers_sim.pki_store import PkiStore

__all__ = ["images"]


@click.group(cls=Group)
def images() -> None:
    """List, fill, verify and prune the cache of kernels, images and templates."""


@images.command("list")
@options.setting("cache")
def list_(cache: Path | None) -> None:
    """List the entries of the cache, the last used one first, and their total size."""
    store = Cache(cache_directory(cache))
    entries = store.entries()
    table = Table(box=None)
    for head in ("kind", "key"):
        table.add_column(head, overflow="fold")
    table.add_column("MiB", justify="right", no_wrap=True)
    table.add_column("last used", overflow="fold")
    for entry in entries:
        used = entry.used.strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.kind, entry.key[:16], f"{entry.bytes / 2**20:.1f}", used)
    console = Console(highlight=False)
    console.print(table)
    total = sum(entry.bytes for entry in entries) / 2**20
    print_text(console, f"{len(entries)} entries, {total:.1f} MiB, in {store.root}")


@images.command("build")
@options.settings(without=("seed",))
def build(settings: Settings) -> None:
    """Fetch, build and boot what a run with the same options needs, so that it starts at once."""
    with Session(settings, stderr_progress()) as session:
        failures = prepare(session, settings).failures
    if failures:
        reasons = "\n".join(f"{pair}: {reason}" for pair, reason in failures.items())
        raise HarnessError(f"cannot prepare everything:\n{reasons}")
    click.echo("ready")


@images.command("verify")
@click.option("--repair", is_flag=True, help="Remove what is damaged: its next use makes it again.")
@options.setting("cache")
def verify(repair: bool, cache: Path | None) -> int:
    """Read every entry of the cache, and compare it with its digest.

    The exit status is 1 when an entry is damaged, also if it was repaired.
    """
    store = Cache(cache_directory(cache))
    progress, checked, damaged = stderr_progress(), 0, []
    with progress.step("verifying", total=len(store.entries())) as step:
        for entry, problem in store.verify(repair=repair):
            checked += 1
            step.advance(1)
            if problem:
                damaged.append(f"{entry.kind} {entry.key[:16]}: {problem}")
    found = PkiStore.verify(store.root / "pki", repair=repair)
    damaged += [f"pki {group}: {problem}" for group, problem in found.items()]
    for line in damaged:
        click.echo(line)
    removed = ", and removed" if repair and damaged else ""
    click.echo(f"{checked} entries: {len(damaged)} damaged{removed}")
    return EXIT_UNEXPECTED if damaged else EXIT_AS_EXPECTED


@images.command("prune")
@click.option(
    "--days",
    type=click.FloatRange(0),
    default=14,
    show_default=True,
    help="Keep what was used within this many days.",
)
@options.setting("cache")
def prune(days: float, cache: Path | None) -> None:
    """Remove entries of the cache that were not used lately, except those in use."""
    store = Cache(cache_directory(cache))
    freed = store.prune(older_than_days=days)
    freed += PkiStore.prune(store.root / "pki", time.time() - days * 86400)
    click.echo(f"{freed / 2**20:.1f} MiB freed")
