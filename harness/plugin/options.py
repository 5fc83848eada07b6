# SPDX-License-Identifier: MIT
"""The plugin's command-line options."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER, DEFAULT_TSMS, Settings

__all__ = ["SETTINGS"]

SETTINGS = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, in a group of their own."""
    group = parser.getgroup("tsm-harness")
    for name, what in (
        ("--tsm", "TSM core under test"),
        ("--tsm-kernel", "kernel to boot"),
        ("--tsm-provider", "simulated TEE"),
        ("--tsm-claim", "only this claim"),
    ):
        group.addoption(name, action="append", default=[], help=f"{what} (repeatable)")
    group.addoption("--tsm-seed", type=int, default=0, help="seed of nonces and evidence")
    group.addoption("--tsm-times", type=int, default=1, help="run every cell this often")
    group.addoption("--tsm-smp", type=int, default=1, help="virtual processors of a guest")
    group.addoption("--tsm-memory", type=int, default=256, help="memory of a guest in MiB")
    group.addoption("--tsm-cache", type=Path, default=None, help="cache directory")
    group.addoption("--tsm-kernel-build", type=Path, default=None, help="build tree of the image")
    group.addoption("--tsm-kernel-config", type=Path, default=None, help="configuration of a tree")
    group.addoption("--tsm-qemu", default=None, help="QEMU binary")
    group.addoption(
        "--tsm-artifacts",
        type=Path,
        default=Path("tsm-harness-results"),
        help="where evidence of FAIL and ERROR is kept",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker and check the options before anything is collected."""
    marker = "claim(id): the scenario decides this claim; harness.claims.claim() makes the mark"
    config.addinivalue_line("markers", marker)
    option = config.option
    settings = Settings(
        kernels=tuple(option.tsm_kernel) or (DEFAULT_KERNEL,),
        tsms=tuple(option.tsm) or DEFAULT_TSMS,
        providers=tuple(option.tsm_provider) or (DEFAULT_PROVIDER,),
        claims=tuple(option.tsm_claim),
        seed=option.tsm_seed,
        times=option.tsm_times,
        cache=option.tsm_cache,
        build=option.tsm_kernel_build,
        kernel_config=option.tsm_kernel_config,
        qemu=option.tsm_qemu,
        smp=option.tsm_smp,
        memory_mib=option.tsm_memory,
        artifacts=option.tsm_artifacts.absolute(),
    )
    try:
        config.stash[SETTINGS] = settings.check()
    except UsageError as error:
        raise pytest.UsageError(f"{error}" + (f" ({error.hint})" if error.hint else "")) from error
