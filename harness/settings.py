# SPDX-License-Identifier: MIT
"""The settings of a run: each is declared here once, or in :class:`harness.qemu.emulator.Hardware`.

A field with :func:`harness.option.option` becomes an option of the commands and of pytest, an
argument of worker processes, a part of the command that repeats a cell and, by its ``use``, of a
bundle.
"""

from __future__ import annotations

import functools
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.claims.catalogue import select_claims
from harness.errors import UsageError
from harness.implementations.defects import EXPLORED_CLAIMS, all_defects
from harness.implementations.spec import implementation_forms, parse_implementation
from harness.kernels.spec import kernel_forms, kernel_kind, parse_kernel
from harness.option import Option, Use, check_ranges, option, options_of
from harness.paths import SHARED_VARIABLE
from harness.qemu.emulator import Hardware
from providers_sim import ProviderError, parse_spec

__all__ = ["DEFAULT_KERNEL", "DEFAULT_PROVIDER", "DEFAULT_TSMS", "Settings"]

DEFAULT_KERNEL = "debian:6.12"
DEFAULT_TSMS = ("class-posted", "class-fixed", "mainline")
DEFAULT_PROVIDER = "sev-snp"

_PROVIDER_HINT = "`tsm-harness evidence PROVIDER --help` lists a provider's options"


@dataclass(frozen=True, kw_only=True)
class Settings(Hardware):
    """What to run, and with what."""

    kernels: tuple[str, ...] = option(
        (DEFAULT_KERNEL,),
        f"Kernel to boot: {kernel_forms()}.",
        flag="kernel",
        use=Use.CELL,
    )
    tsms: tuple[str, ...] = option(
        DEFAULT_TSMS,
        f"Implementation under test: {implementation_forms()}.",
        flag="tsm",
        use=Use.CELL,
    )
    providers: tuple[str, ...] = option(
        (DEFAULT_PROVIDER,),
        "TEE to simulate, with its options: ID[:OPTION=VALUE,...].",
        flag="provider",
        use=Use.CELL,
    )
    claims: tuple[str, ...] = option(
        (), "Claim to decide.", flag="claim", use=Use.CELL, positional=True
    )
    programs: int = option(
        6,
        "Programs that exploration runs in a cell of M1; half as many for M3, a third for M2.",
        flag="programs",
        use=Use.SEARCH,
        lowest=1,
        highest=1_000_000,
    )
    seed: int = option(0, "Seed of nonces and evidence.", flag="seed", use=Use.CELL)
    cache: Path | None = option(
        None, "Cache directory.", flag="cache", use=Use.HOST, variable="TSM_HARNESS_CACHE"
    )
    shared_cache: Path | None = option(
        None,
        "Cache of another user, to read kernels, modules and sources from.",
        flag="shared-cache",
        use=Use.HOST,
        variable=SHARED_VARIABLE,
    )
    kernel_build: Path | None = option(
        None,
        "Build tree or headers of a kernel image given by its path.",
        flag="kernel-build",
        use=Use.HOST,
    )
    kernel_config: Path | None = option(
        None,
        "Configuration file for building a kernel tree, instead of the minimal one.",
        flag="kernel-config",
        use=Use.HOST,
    )
    qemu: str | None = option(
        None, "QEMU binary, instead of the first on the PATH.", flag="qemu", use=Use.HOST
    )
    times: int = option(
        1, "Repeat every cell N times.", flag="times", use=Use.REPEAT, lowest=1, highest=1_000_000
    )
    artifacts: Path = option(
        Path("tsm-harness-results"),
        "Directory for the evidence of each FAIL and ERROR.",
        flag="artifacts",
        use=Use.OUTPUT,
    )

    @staticmethod
    @functools.cache
    def options() -> tuple[Option, ...]:
        """Return every declared option."""
        return options_of(Settings)

    def check(self) -> Settings:
        """Return the settings; raises :class:`UsageError` for a value that is not valid.

        Raises :class:`harness.errors.NotJudgedError` for a patch that changes nothing that is
        judged.
        """
        for kernel in self.kernels:
            parse_kernel(kernel)
        for tsm in self.tsms:
            parse_implementation(tsm)
        for provider in self.providers:
            try:
                parse_spec(provider)
            except ProviderError as error:
                raise UsageError(str(error), hint=_PROVIDER_HINT) from error
        select_claims(self.claims)
        self._check_repeats()
        check_ranges(self)
        return self

    def with_bases(self) -> Settings:
        """Return the settings with the base of each patch before it, unless it is there anyway."""
        named: dict[str, None] = {}
        for tsm in self.tsms:
            base = parse_implementation(tsm).base
            if base and base not in self.tsms:
                named.setdefault(base)
            named.setdefault(tsm)
        return replace(self, tsms=tuple(named))

    def _check_repeats(self) -> None:
        """Raise :class:`UsageError` for a value that is given twice: its cells would be equal."""
        for each in self.options():
            values = each.values(self) if each.repeatable and not each.positional else ()
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise UsageError(
                    f"--{each.flag} {twice[0]} is given twice", hint="--times repeats every cell"
                )

    def selects(self, claim: str, tsm: str) -> bool:
        """Whether the run decides ``claim`` on the implementation ``tsm``.

        Without named claims these are all claims, except on a mutant: it is decided for the claims
        that concern it. A claim of exploration is decided on no mutant that does not list it.
        """
        kind, _, name = tsm.partition(":")
        defect = all_defects().get(name) if kind == "defect" else None
        concerned = defect is None or defect.concerns(claim)
        if not self.claims:
            return concerned
        named = {selected.id for selected in select_claims(self.claims)}
        return claim in named and (concerned or claim not in EXPLORED_CLAIMS)

    def unused(self) -> dict[str, str]:
        """Return the options that nothing in this run uses, by name, each with the reason."""
        kinds = {kernel_kind(kernel) for kernel in self.kernels}
        explores = any(self.selects(claim, tsm) for claim in EXPLORED_CLAIMS for tsm in self.tsms)
        reasons = {
            "kernel_build": "" if "image" in kinds else "no kernel is given by a path of its image",
            "kernel_config": "" if "tree" in kinds else "no kernel is built from sources",
            "programs": "" if explores else f"only {', '.join(EXPLORED_CLAIMS)} explore",
        }
        return {name: reason for name, reason in reasons.items() if reason}

    def used(self) -> Settings:
        """Return the settings with the default of every option that nothing in this run uses."""
        defaults: dict[str, Any] = {
            each.name: each.default for each in self.options() if each.name in self.unused()
        }
        return replace(self, **defaults)

    def pytest_arguments(self) -> list[str]:
        """Return the arguments that give pytest the same settings."""
        return [
            f"{plugin_flag(each)}={value}" for each in self.options() for value in each.values(self)
        ]

    def run_arguments(self, *, short: bool = False) -> list[str]:
        """Return the arguments that make ``tsm-harness run`` decide the same claims.

        They name the cells in full, so that they outlast a change of a default; with ``short``
        they have only what differs from the defaults.
        """
        arguments = list(self.claims)
        for each in self.options():
            default = getattr(self, each.name) == each.default
            left_out = default and (short or each.use is not Use.CELL)
            if not (each.positional or each.use is Use.OUTPUT or left_out):
                arguments += [f"--{each.flag}={value}" for value in each.values(self)]
        return arguments

    def command(self) -> str:
        """Return the command line that decides the same claims, on this or another machine.

        It is short, and names paths as the user did. It leaves out the cache, whose content can be
        made anew anywhere.
        """
        arguments = replace(self.used(), cache=None).run_arguments(short=True)
        return shlex.join(["tsm-harness", "run", *arguments])

    def recorded(self) -> dict[str, Any]:
        """Return what a bundle keeps of the settings of one cell, for JSON; nothing unset."""
        values = {each.key: each.values(self) for each in self.options() if each.recorded}
        return {key: found[0] for key, found in values.items() if found}

    @classmethod
    def from_recorded(cls, values: Mapping[str, Any]) -> Settings:
        """Make settings from :meth:`recorded`; a missing guest option has its default.

        Raises :class:`ValueError` when ``values`` lacks another option, has one that is unknown,
        or one of another type.
        """
        known = {each.key: each for each in cls.options() if each.recorded}
        required = {key for key, each in known.items() if each.use is Use.CELL}
        if unknown := sorted(values.keys() - known.keys()):
            raise ValueError(f"unknown member {unknown[0]}")
        if missing := sorted(required - values.keys()):
            raise ValueError(f"no member {missing[0]}")
        fields: dict[str, Any] = {}
        for key, value in values.items():
            if type(value) is not known[key].kind:
                raise ValueError(f"{key} is of type {known[key].kind.__name__}; not {value!r}")
            fields[known[key].name] = (value,) if known[key].repeatable else value
        return cls(**fields)


def plugin_flag(declared: Option) -> str:
    """Return the name of an option among those of pytest."""
    return "--tsm" if declared.flag == "tsm" else f"--tsm-{declared.flag}"
