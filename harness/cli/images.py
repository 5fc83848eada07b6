# SPDX-License-Identifier: MIT
"""``images``: what the cache holds."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from harness.cache import Cache
from harness.cli import options
from harness.errors import HarnessError
from harness.paths import cache_directory
from harness.session import Session
from harness.settings import Settings
from providers_sim.pki_store import PkiStore

__all__ = ["images"]


@click.group()
def images() -> None:
    """Kernels, images and templates in the cache."""


@images.command("list")
@options.setting("cache")
def list_(cache: Path | None) -> None:
    """List what the cache holds, with sizes."""
    store = Cache(cache_directory(cache))
    table = Table("kind", "key", "MiB", "last used", box=None)
    for entry in store.entries():
        used = entry.used.strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.kind, entry.key[:16], f"{entry.bytes / 2**20:.1f}", used)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"in {store.root}", soft_wrap=True)


@images.command("build")
@options.settings()
def build(settings: Settings) -> None:
    """Fetch, build and boot what a run would need, so that it starts at once."""
    with Session(settings, options.progress()) as bench:
        failures = bench.prepare().failures
    if failures:
        words = "\n".join(f"{pair}: {why}" for pair, why in failures.items())
        raise HarnessError(f"not everything could be made:\n{words}")
    Console().print("ready")


@images.command("prune")
@click.option(
    "--days", type=click.FloatRange(0), default=14, help="Keep what was used in the last DAYS."
)
@options.setting("cache")
def prune(days: float, cache: Path | None) -> None:
    """Remove what was not used lately; what another run is using stays."""
    store = Cache(cache_directory(cache))
    freed = store.prune(older_than_days=days)
    freed += PkiStore.prune(store.root / "pki", time.time() - days * 86400)
    Console().print(f"{freed / 2**20:.1f} MiB freed")
