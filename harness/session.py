# SPDX-License-Identifier: MIT
"""Everything a run needs besides the scenarios: kernels, images, templates, guests, providers.

A kernel spec becomes an image. The image, booted, with an implementation loaded, becomes a
template. A clone of the template is handed out, and a provider is made to go with it.
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
from harness.images.image import GuestImage, prepare_image
from harness.implementations.model import Build
from harness.implementations.spec import parse_implementation
from harness.kernels.model import Kernel
from harness.kernels.resolve import resolve_kernel
from harness.oracle.source_lines import SourceLines
from harness.paths import cache_directory
from harness.progress import Progress
from harness.qemu.emulator import Emulator, find_emulator
from harness.qemu.rundir import RunDirectory
from harness.report.host import describe_host
from harness.settings import Settings
from harness.vm.accelerator import Choice, choose_accelerator
from harness.vm.boot import boot_of
from harness.vm.factory import GuestFactory
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
        self._builds: dict[tuple[str, str], Build] = {}
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
        """The image of a kernel: one initramfs for every implementation."""
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

    def build(self, spec: str, tsm: str) -> Build:
        """The modules of an implementation and its provider driver, built for a kernel."""
        if (spec, tsm) not in self._builds:
            implementation = parse_implementation(tsm)
            self._builds[spec, tsm] = implementation.build(
                self.kernel(spec), self.cache, self.progress
            )
        return self._builds[spec, tsm]

    def template(self, spec: str, tsm: str) -> Template:
        """The template of a kernel with an implementation and its provider driver loaded."""
        return self.factory(spec).template(self.build(spec, tsm).loads)

    def source_lines(self, spec: str, tsm: str) -> SourceLines:
        """Looks up source lines in the debug information of a kernel and its loaded modules."""
        tree = self.kernel(spec).build
        files = {"": tree / "vmlinux", **self.build(spec, tsm).debug_files}
        return SourceLines(files, (tree / "source").resolve())

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
                    release, build = self.release(spec), self.build(spec, tsm)
                    notes += [f"{tsm} on {release}: {note}" for note in build.notes]
                except TsmHarnessError as error:
                    failures[f"{spec} {tsm}"] = _words(error)
        for ident in self._settings.providers:
            self.provider(ident, 0)
        return Prepared(failures, notes)

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
