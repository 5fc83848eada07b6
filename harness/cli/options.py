# SPDX-License-Identifier: MIT
"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from harness.progress import Progress, terminal_progress

__all__ = ["Build", "CacheDir", "Kernels", "Memory", "OneKernel", "OneProvider", "OneTsm",
           "Providers", "Qemu", "Seed", "Smp", "Tsms", "progress"]  # fmt: skip

Kernels = Annotated[
    list[str] | None,
    typer.Option("--kernel", metavar="K", help="debian:6.12, or the path of a bzImage"),
]
Tsms = Annotated[
    list[str] | None,
    typer.Option("--tsm", metavar="T", help="mainline, as-posted, revised, defect:NAME"),
]
Providers = Annotated[
    list[str] | None, typer.Option("--provider", metavar="P", help="the TEE to simulate")
]
OneKernel = Annotated[str, typer.Option("--kernel", metavar="K", help="kernel to boot")]
OneTsm = Annotated[str, typer.Option("--tsm", metavar="T", help="TSM core to load")]
OneProvider = Annotated[str, typer.Option("--provider", metavar="P", help="TEE to simulate")]
Seed = Annotated[int, typer.Option(help="seed of nonces and evidence")]
CacheDir = Annotated[
    Path | None,
    typer.Option("--cache", envvar="TSM_HARNESS_CACHE", help="cache directory"),
]
Build = Annotated[
    Path | None,
    typer.Option("--kernel-build", help="build tree or headers of a kernel given by path"),
]
Qemu = Annotated[str | None, typer.Option("--qemu", help="QEMU binary to use")]
Smp = Annotated[int, typer.Option("--smp", min=1, max=16, help="virtual processors of a guest")]
Memory = Annotated[
    int, typer.Option("--memory", min=128, max=65536, help="memory of a guest in MiB")
]


def progress() -> Progress:
    """Where long steps show themselves: on standard error, so that output stays clean."""
    return terminal_progress(Console(stderr=True))
