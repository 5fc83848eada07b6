# SPDX-License-Identifier: MIT
"""The plugin's command-line options, and the settings they amount to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.kernels.core import parse_core
from harness.kernels.spec import parse_kernel
from providers_sim import available
from scenarios.claims import select_claims

__all__ = ["DEFAULT_KERNEL", "DEFAULT_PROVIDER", "DEFAULT_TSMS", "SETTINGS", "Settings"]

DEFAULT_KERNEL = "debian:6.12"
DEFAULT_TSMS = ("as-posted", "revised", "mainline")
DEFAULT_PROVIDER = "sev-snp"


@dataclass(frozen=True)
class Settings:
    """What to run, and with what; the same words as the command line.

    ``times`` repeats every cell, ``build`` names a kernel image's build tree, ``qemu`` another
    emulator, ``smp`` and ``memory_mib`` the guest's size; an empty ``cache`` is the default one.
    """

    kernels: tuple[str, ...] = (DEFAULT_KERNEL,)
    tsms: tuple[str, ...] = DEFAULT_TSMS
    providers: tuple[str, ...] = (DEFAULT_PROVIDER,)
    claims: tuple[str, ...] = ()
    seed: int = 0
    times: int = 1
    cache: Path | None = None
    build: Path | None = None
    qemu: str | None = None
    smp: int = 1
    memory_mib: int = 256
    artifacts: Path = field(default_factory=lambda: Path("tsm-harness-results"))

    def check(self) -> Settings:
        """Return the settings; raises :class:`UsageError` for words that mean nothing."""
        for kernel in self.kernels:
            parse_kernel(kernel)
        for tsm in self.tsms:
            parse_core(tsm)
        unknown = sorted(set(self.providers) - set(available()))
        if unknown:
            raise UsageError(
                f"unknown provider: {', '.join(unknown)}",
                hint=f"there are {', '.join(available())}",
            )
        select_claims(self.claims)
        if self.times < 1 or self.smp < 1 or self.memory_mib < 128:
            raise UsageError("times and smp are at least 1, memory at least 128 MiB")
        return self

    def arguments(self) -> list[str]:
        """The pytest arguments that say the same."""
        lists = {"kernel": self.kernels, "tsm": self.tsms, "provider": self.providers}
        words = [f"--{name}={value}" for name, values in lists.items() for value in values]
        words += [f"--claim={claim}" for claim in self.claims]
        words += [f"--seed={self.seed}", f"--times={self.times}"]
        words += [f"--smp={self.smp}", f"--memory={self.memory_mib}"]
        words += [f"--artifacts={self.artifacts}"]
        for name, value in {
            "cache": self.cache, "kernel-build": self.build, "qemu": self.qemu
        }.items():  # fmt: skip
            if value is not None:
                words.append(f"--{name}={value}")
        return words


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
        qemu=option.qemu,
        smp=option.smp,
        memory_mib=option.memory,
        artifacts=option.artifacts.absolute(),
    )
    try:
        config.stash[SETTINGS] = settings.check()
    except UsageError as error:
        raise pytest.UsageError(f"{error}" + (f" ({error.hint})" if error.hint else "")) from error
