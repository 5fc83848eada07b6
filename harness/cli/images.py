# SPDX-License-Identifier: MIT
"""``images``: what the cache holds."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from harness.cache import Cache
from harness.cli import options
from harness.errors import HarnessError
from harness.paths import cache_directory
from harness.plugin.options import DEFAULT_KERNEL, DEFAULT_TSMS, Settings
from harness.workbench import Workbench

__all__ = ["app"]

app = typer.Typer(help="Kernels, images and templates in the cache.", no_args_is_help=True)


@app.command("list")
def list_(cache: options.CacheDir = None) -> None:
    """List what the cache holds, with sizes."""
    store = Cache(cache_directory(cache))
    table = Table("kind", "key", "MiB", "last used", box=None)
    for entry in store.entries():
        used = entry.used.strftime("%Y-%m-%d %H:%M")
        table.add_row(entry.kind, entry.key[:16], f"{entry.bytes / 2**20:.1f}", used)
    console = Console(highlight=False)
    console.print(table)
    console.print(f"in {store.root}", soft_wrap=True)


@app.command("build")
def build(
    kernel: options.Kernels = None,
    tsm: options.Tsms = None,
    cache: options.CacheDir = None,
    kernel_build: options.Build = None,
    qemu: options.Qemu = None,
    smp: options.Smp = 1,
    memory: options.Memory = 256,
) -> None:
    """Fetch, build and boot what a run would need, so that it starts at once."""
    settings = Settings(
        kernels=tuple(kernel or [DEFAULT_KERNEL]),
        tsms=tuple(tsm or DEFAULT_TSMS),
        cache=cache,
        build=kernel_build,
        qemu=qemu,
        smp=smp,
        memory_mib=memory,
    ).check()
    with Workbench(settings, options.progress()) as bench:
        failures = bench.prepare().failures
    if failures:
        words = "\n".join(f"{pair}: {why}" for pair, why in failures.items())
        raise HarnessError(f"not everything could be made:\n{words}")
    Console().print("ready")


@app.command("prune")
def prune(
    days: Annotated[float, typer.Option(min=0, help="keep what was used in the last DAYS")] = 14,
    cache: options.CacheDir = None,
) -> None:
    """Remove what was not used lately; what another run is using stays."""
    freed = Cache(cache_directory(cache)).prune(older_than_days=days)
    Console().print(f"{freed / 2**20:.1f} MiB freed")
