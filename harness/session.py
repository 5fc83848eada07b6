# SPDX-License-Identifier: MIT
"""Everything a run needs besides the scenarios: kernels, images, templates, guests, providers.

This is the line of the design in one place: a kernel spec and a core spec become an image, an
image becomes a template, a clone of it is handed out, and a provider is made to go with it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version

from harness.cache import Cache
from harness.errors import BuildError, HostError, TsmHarnessError
from harness.guest.guest import Guest
from harness.images import GuestImage, prepare_image
from harness.implementations.modules import DEBUG, build_guest_modules
from harness.implementations.spec import parse_implementation
from harness.implementations.user import (
    build_user_implementation,
    read_user_implementation,
    user_implementation_notes,
)
from harness.kernels import Kernel, resolve_kernel
from harness.oracle.source_lines import SourceLines
from harness.paths import cache_directory
from harness.progress import Progress
from harness.qemu.emulator import Emulator, find_emulator
from harness.qemu.rundir import RunDirectory
from harness.report.host import describe_host
from harness.settings import Settings
from harness.vm.accelerator import Choice, choose_accelerator
from harness.vm.boot import boot_of
from harness.vm.factory import GuestFactory, ModuleLoad
from harness.vm.pool import ClonePool
from harness.vm.template import Template
from providers_sim import AnyProvider, create

__all__ = ["Prepared", "Session"]


@dataclass(frozen=True)
class Prepared:
    """What the parent of a worker process found out, so that the worker need not.

    ``failures`` says why a (kernel, core) pair cannot run, by ``kernel tsm``; ``notes`` are for
    the user: what was done to what he brought.
    """

    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> str:
        """As one word of a command line; the notes stay with the parent."""
        return json.dumps(self.failures)

    @classmethod
    def from_json(cls, text: str) -> Prepared | None:
        """The inverse; None for the empty text of a process that has no such parent."""
        return cls(json.loads(text)) if text else None


class Session:
    """Makes and remembers what a run needs; nothing is made before it is asked for.

    ``prepared`` marks a worker whose parent has verified the cache. Use it as a context manager.
    """

    def __init__(
        self, settings: Settings, progress: Progress, *, prepared: Prepared | None = None
    ) -> None:
        self._settings = settings
        self.progress = progress
        self._prepared = prepared
        self._kernels: dict[str, Kernel] = {}
        self._lacking: dict[str, TsmHarnessError] = {}
        self._factories: dict[str, GuestFactory] = {}
        self._pools: dict[str, ClonePool] = {}
        self._run: RunDirectory | None = None
        self._choice: Choice | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every clone nobody took and remove the run directory."""
        try:
            for pool in self._pools.values():
                pool.close()
        finally:
            if self._run is not None:
                self._run.close()

    @cached_property
    def cache(self) -> Cache:
        """The cache, in the directory asked for or the user's own."""
        return Cache(cache_directory(self._settings.cache))

    @cached_property
    def emulator(self) -> Emulator:
        """QEMU as found; its accelerator is chosen with the first image."""
        return find_emulator(self._settings.qemu, self._settings)

    @property
    def run_directory(self) -> RunDirectory:
        """The private directory of this process."""
        if self._run is None:
            self._run = RunDirectory()
        return self._run

    def kernel(self, spec: str) -> Kernel:
        """The kernel ``spec`` names, fetched when it has to be; a failure is not tried again."""
        if spec in self._lacking:
            raise self._lacking[spec].with_traceback(None)
        if spec not in self._kernels:
            try:
                self._kernels[spec] = resolve_kernel(
                    spec,
                    self.cache,
                    self.progress,
                    build=self._settings.kernel_build,
                    config=self._settings.kernel_config,
                    trusted=self._prepared is not None,
                )
            except TsmHarnessError as error:
                self._lacking[spec] = error
                raise
        return self._kernels[spec]

    def image(self, spec: str) -> GuestImage:
        """The image of a kernel: one initramfs for every core."""
        return prepare_image(self.kernel(spec), self.cache, self.progress)

    def accelerator(self, spec: str) -> Choice:
        """KVM or TCG, proved with this kernel's image if no answer is known yet."""
        if self._choice is None:
            boot = boot_of(self.image(spec))
            self._choice = choose_accelerator(
                self.emulator, boot, self.cache.root, self.run_directory, self.progress
            )
        return self._choice

    def factory(self, spec: str) -> GuestFactory:
        """Where guests of this kernel are made."""
        if spec not in self._factories:
            emulator = self.emulator.with_accelerator(self.accelerator(spec).accelerator)
            self._factories[spec] = GuestFactory(
                self.image(spec),
                emulator,
                self.cache,
                self.run_directory,
                self.progress,
                trusted=self._prepared is not None,
            )
        return self._factories[spec]

    def template(self, spec: str, tsm: str) -> Template:
        """The template of a kernel with a TSM core and the provider driver loaded."""
        core, kernel = parse_implementation(tsm), self.kernel(spec)
        if core.kind != "user":
            loads = [ModuleLoad(path, text) for path, text in core.load_plan(kernel)]
            return self.factory(spec).template(loads)
        directory = build_user_implementation(
            read_user_implementation(tsm), kernel, self.cache, self.progress
        )
        names = ("tsm-user.ko", "tsm-sim-user.ko")
        own = [ModuleLoad(f"/run/{name}", content=directory / name) for name in names]
        return self.factory(spec).template(own)

    def source_lines(self, spec: str, tsm: str) -> SourceLines:
        """Where the functions of a kernel and its modules stand, as far as that is known."""
        core, kernel = parse_implementation(tsm), self.kernel(spec)
        files = {"": kernel.build / "vmlinux"}
        if core.kind == "user":
            built = build_user_implementation(
                read_user_implementation(tsm), kernel, self.cache, self.progress
            )
            files["tsm_user"] = built / DEBUG / "tsm-user.ko"
            files["tsm_sim"] = built / DEBUG / "tsm-sim-user.ko"
        else:
            built = build_guest_modules(kernel, self.cache, self.progress)
            if core.kind != "mainline":
                files[f"tsm_{core.kind}"] = built / DEBUG / f"tsm-{core.kind}.ko"
            files["tsm_sim"] = built / DEBUG / f"tsm-sim-{core.kind}.ko"
        return SourceLines(files, (kernel.build / "source").resolve())

    def take_guest(self, spec: str, tsm: str) -> Guest:
        """A pristine guest; the next one of its kind is begun."""
        if failure := self.preparation_failure(spec, tsm):
            raise BuildError(failure)
        if spec not in self._pools:
            self._pools[spec] = ClonePool(self.factory(spec))
        return self._pools[spec].take(self.template(spec, tsm))

    def preparation_failure(self, spec: str, tsm: str) -> str:
        """Return why the parent process could not prepare this pair, or an empty string."""
        return self._prepared.failures.get(f"{spec} {tsm}", "") if self._prepared else ""

    def provider(self, ident: str, seed: int) -> AnyProvider:
        """A simulated TEE whose evidence depends on ``seed`` and this cache's test PKI alone."""
        return create(ident, seed=seed, pki_dir=self.cache.root / "pki")

    def prepare(self) -> Prepared:
        """Make every template the settings ask for; what cannot be made is noted, not raised.

        Only a kernel that cannot be what was meant ends it at once, with :class:`UsageError`.
        """
        failures, notes = {}, []
        for spec in self._settings.kernels:
            with contextlib.suppress(HostError, BuildError):  # its cores will say so
                self.kernel(spec)
            for tsm in self._settings.tsms:
                try:
                    self.template(spec, tsm)
                    notes += self._notes(spec, tsm)
                except TsmHarnessError as error:
                    failures[f"{spec} {tsm}"] = _words(error)
        for ident in self._settings.providers:
            self.provider(ident, 0)
        return Prepared(failures, notes)

    def _notes(self, spec: str, tsm: str) -> list[str]:
        if parse_implementation(tsm).kind != "user":
            return []
        core, kernel = read_user_implementation(tsm), self.kernel(spec)
        built = build_user_implementation(core, kernel, self.cache, self.progress)
        return [
            f"{tsm} on {kernel.release}: {note}" for note in user_implementation_notes(core, built)
        ]

    def release(self, spec: str) -> str:
        """The kernel's full release, or its spec when it could not be had."""
        try:
            return self.kernel(spec).release
        except TsmHarnessError:
            return spec

    def config(self, spec: str) -> Mapping[str, str]:
        """The kernel's configuration; empty when it could not be had."""
        try:
            return self.kernel(spec).config
        except TsmHarnessError:
            return {}

    def versions(self) -> dict[str, str]:
        """What the evidence of a cell says about how it came to be."""
        try:
            described = self.describe_host()
        except TsmHarnessError:  # no emulator: the cell says so itself
            return {}
        return {name: json.dumps(value) for name, value in described.items()}

    def describe_host(self) -> dict[str, object]:
        """The host's part of a report."""
        accelerator = self._choice.accelerator if self._choice else "not chosen"
        emulator = self.emulator
        if self._choice is not None:
            emulator = emulator.with_accelerator(self._choice.accelerator)
        return describe_host(
            harness_version=version("tsm-harness"),
            qemu_version=emulator.version_text,
            accelerator=accelerator,
            cpu_flags=emulator.cpu.split(","),
        )


def _words(error: TsmHarnessError) -> str:
    return f"{error}\nhint: {error.hint}" if error.hint else str(error)
