# SPDX-License-Identifier: MIT
"""What a run is asked to do, whoever asks: the command line, pytest, a worker's parent."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.claims import select_claims
from harness.errors import UsageError
from harness.implementations.spec import parse_implementation
from harness.implementations.user import read_user_implementation
from harness.kernels.spec import parse_kernel
from providers_sim import ProviderError, parse_spec

__all__ = ["DEFAULT_KERNEL", "DEFAULT_PROVIDER", "DEFAULT_TSMS", "Settings"]

DEFAULT_KERNEL = "debian:6.12"
DEFAULT_TSMS = ("class-posted", "class-fixed", "mainline")
DEFAULT_PROVIDER = "sev-snp"

_PROVIDER_HINT = "`tsm-harness evidence PROVIDER --help` lists a provider's options"


@dataclass(frozen=True)
class Settings:
    """What to run, and with what; the same words as the command line.

    ``times`` repeats every cell, ``build`` names a kernel image's build tree, ``kernel_config`` the
    configuration that a source tree is built with, ``qemu`` another emulator, ``smp`` and
    ``memory_mib`` the guest's size; an empty ``cache`` is the default one.
    """

    kernels: tuple[str, ...] = (DEFAULT_KERNEL,)
    tsms: tuple[str, ...] = DEFAULT_TSMS
    providers: tuple[str, ...] = (DEFAULT_PROVIDER,)
    claims: tuple[str, ...] = ()
    seed: int = 0
    times: int = 1
    cache: Path | None = None
    build: Path | None = None
    kernel_config: Path | None = None
    qemu: str | None = None
    smp: int = 1
    memory_mib: int = 256
    artifacts: Path = field(default_factory=lambda: Path("tsm-harness-results"))

    def check(self) -> Settings:
        """Return the settings; raises :class:`UsageError` for words that mean nothing."""
        for kernel in self.kernels:
            parse_kernel(kernel)
        for tsm in self.tsms:
            if parse_implementation(tsm).kind == "user":
                read_user_implementation(tsm)
        for provider in self.providers:
            try:
                parse_spec(provider)
            except ProviderError as error:
                raise UsageError(str(error), hint=_PROVIDER_HINT) from error
        select_claims(self.claims)
        if self.times < 1 or self.smp < 1 or self.memory_mib < 128:
            raise UsageError("times and smp are at least 1, memory at least 128 MiB")
        return self

    def arguments(self) -> list[str]:
        """The pytest arguments that say the same."""
        named: list[tuple[str, object]] = [("claim", claim) for claim in self.claims]
        named += [("times", self.times), ("artifacts", self.artifacts), *self._places()]
        named += [("smp", self.smp), ("memory", self.memory_mib)]
        return [
            f"--tsm={value}" if name == "tsm" else f"--tsm-{name}={value}" for name, value in named
        ]

    def command(self) -> str:
        """The command line that decides the same claims again."""
        return shlex.join(["tsm-harness", "run", *self.words()])

    def words(self, *, cache: Path | None = None) -> list[str]:
        """The words of ``run`` that say the same, with another ``cache`` if one is given."""
        standard = Settings()
        asked = replace(self, cache=cache) if cache is not None else self
        words = [*self.claims, *(f"--{name}={value}" for name, value in asked._places())]
        if self.times != standard.times:
            words.append(f"--times={self.times}")
        if self.smp != standard.smp:
            words.append(f"--smp={self.smp}")
        if self.memory_mib != standard.memory_mib:
            words.append(f"--memory={self.memory_mib}")
        return words

    def _places(self) -> list[tuple[str, object]]:
        """The options that say where, by their names on the command line."""
        lists = {"kernel": self.kernels, "tsm": self.tsms, "provider": self.providers}
        places: list[tuple[str, object]] = [(n, one) for n, many in lists.items() for one in many]
        named = {
            "seed": self.seed,
            "cache": self.cache,
            "kernel-build": self.build,
            "kernel-config": self.kernel_config,
            "qemu": self.qemu,
        }
        return places + [(name, value) for name, value in named.items() if value is not None]
