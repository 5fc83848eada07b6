# SPDX-License-Identifier: MIT
"""Runs programs, each in a pristine guest, and compares them with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.errors import GuestLostError
from harness.explore.compare import Comparison, compare
from harness.explore.execute import Executor
from harness.explore.leftovers import Baseline, Leftovers
from harness.explore.provider import ScriptedProvider
from harness.explore.systematic import ordinary_program
from harness.guest.guest import Guest
from harness.guest.panic import find_panic
from harness.implementations.spec import parse_implementation
from harness.interface.apis import PROVIDER_APIS, numbered_api
from harness.interface.find import find_interface
from harness.model.check import CLASS_ENTRY, Model, OverlapOutcome
from harness.model.interface import (
    InterfaceVersion,
    class_version,
    configfs_version,
    posted_version,
)
from harness.model.outcome import Outcome
from harness.model.steps import Program, TidyUp
from harness.offered import attributes_of
from harness.session import Session
from providers_sim import ProviderLoop

__all__ = ["Explorer", "Trial"]


@dataclass(frozen=True)
class Trial:
    """One run of a program."""

    program: Program
    outcomes: Sequence[Outcome | OverlapOutcome]
    comparison: Comparison


@dataclass
class Explorer:
    """Explores one implementation on one kernel; ``trials`` counts the programs that were run."""

    session: Session
    kernel: str
    tsm: str
    seed: int = 0
    deviations: frozenset[str] = frozenset()
    claims: tuple[str, ...] = ("M1", "M2", "M3")
    trials: int = 0
    version: InterfaceVersion | None = field(default=None, init=False)
    _baseline: Baseline | None = field(default=None, init=False)

    def run(self, program: Program) -> Trial:
        """Run a program in a pristine guest; ``claims`` are those that it is judged by.

        A program that looks for what is kept needs a baseline: an ordinary program finds it once.
        """
        version = self.detect()
        looks = any(isinstance(step, TidyUp) for step in program.steps)
        if looks and self._baseline is None:
            self._baseline = self._execute(ordinary_program(version), version)[1]
        outcomes, _ = self._execute(program, version)
        self.trials += 1
        model = Model(version, self.deviations)
        return Trial(program, outcomes, compare(model, program, outcomes, self.claims))

    def detect(self) -> InterfaceVersion:
        """The version of the interface, found in a guest when it is first asked for."""
        if self.version is None:
            with self.session.take_guest(self.kernel, self.tsm) as guest:
                loop = guest.register(ScriptedProvider(seed=self.seed))
                self.version = self._version(guest, loop)
        return self.version

    def _execute(
        self, program: Program, version: InterfaceVersion
    ) -> tuple[list[Outcome | OverlapOutcome], Baseline | None]:
        with self.session.take_guest(self.kernel, self.tsm) as guest:
            provider = ScriptedProvider(seed=self.seed)
            loop = guest.register(provider)
            build = self.session.build(self.kernel, self.tsm)
            leftovers = Leftovers(guest, build, version, self._baseline)
            try:
                outcomes = Executor(guest, loop, provider, leftovers).run(program)
            except GuestLostError as error:
                raise find_panic(guest.machine) or error from error
        return outcomes, leftovers.baseline

    def _version(self, guest: Guest, loop: ProviderLoop) -> InterfaceVersion:
        interface = parse_implementation(self.tsm).interface
        offered = attributes_of(self.session, self.kernel, self.tsm)
        if interface == "class":
            directory = find_interface(guest).report(entry=CLASS_ENTRY).outblob.path
            files = guest.actors[0].list(directory.rpartition("/")[0])
            return class_version(files).restricted(offered)
        assert loop.driver is not None
        api = numbered_api(loop.driver.api)
        if api in (PROVIDER_APIS["posted_v3"], PROVIDER_APIS["posted_v4"]):
            return posted_version(api)
        kernel = self.session.kernel(self.kernel).version
        return configfs_version(kernel, services="service_guid" in offered).restricted(offered)
