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
    group.addoption("--kernel", action="append", default=[], help="kernel to boot (repeatable)")
    group.addoption("--tsm", action="append", default=[], help="TSM core under test (repeatable)")
    group.addoption("--provider", action="append", default=[], help="simulated TEE (repeatable)")
    group.addoption("--claim", action="append", default=[], help="only this claim (repeatable)")
    group.addoption("--seed", type=int, default=0, help="seed of nonces and evidence")
    group.addoption("--times", type=int, default=1, help="run every cell this often")
    group.addoption("--smp", type=int, default=1, help="virtual processors of a guest")
    group.addoption("--memory", type=int, default=256, help="memory of a guest in MiB")
    group.addoption("--cache", type=Path, default=None, help="cache directory")
    group.addoption("--kernel-build", type=Path, default=None, help="build tree of a kernel image")
    group.addoption("--kernel-config", type=Path, default=None, help="configuration of a tree")
    group.addoption("--qemu", default=None, help="QEMU binary")
    group.addoption(
        "--artifacts",
        type=Path,
        default=Path("tsm-harness-results"),
        help="where evidence of FAIL and ERROR is kept",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker and check the options before anything is collected."""
    config.addinivalue_line("markers", "claim(id, only): the scenario decides this claim")
    option = config.option
    settings = Settings(
        kernels=tuple(option.kernel) or (DEFAULT_KERNEL,),
        tsms=tuple(option.tsm) or DEFAULT_TSMS,
        providers=tuple(option.provider) or (DEFAULT_PROVIDER,),
        claims=tuple(option.claim),
        seed=option.seed,
        times=option.times,
        cache=option.cache,
        build=option.kernel_build,
        kernel_config=option.kernel_config,
        qemu=option.qemu,
        smp=option.smp,
        memory_mib=option.memory,
        artifacts=option.artifacts.absolute(),
    )
    try:
        config.stash[SETTINGS] = settings.check()
    except UsageError as error:
        raise pytest.UsageError(f"{error}" + (f" ({error.hint})" if error.hint else "")) from error
