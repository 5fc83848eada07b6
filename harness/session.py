# SPDX-License-Identifier: MIT
"""The objects that the commands of one process share: kernels, images, templates and guests.

A kernel becomes an image. The image, booted, with an implementation loaded, becomes a template.
Guests are clones of the template, and each gets a provider.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import version

from harness.cache import Cache
from harness.errors import BuildError, TsmHarnessError
from harness.guest.guest import Guest
from harness.images.image import GuestImage, prepare_image
from harness.implementations.model import Build, Implementation
from harness.implementations.spec import parse_implementation
from harness.kernels.model import Kernel
from harness.kernels.resolve import resolve_kernel
from harness.oracle.source_files import SourceFiles
from harness.oracle.source_lines import SourceLines
from harness.paths import cache_directory, shared_cache_directory
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

__all__ = ["Session"]


class Session:
    """Makes each object when it is first used, and keeps it; a context manager.

    Kernels and implementations are named as on the command line. ``failures`` marks a worker
    process, whose parent has verified the cache: it holds why the parent could not prepare an
    implementation on a kernel, by ``KERNEL TSM``.
    """

    def __init__(
        self,
        settings: Settings,
        progress: Progress,
        *,
        failures: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self.progress = progress
        self._is_worker = failures is not None
        self._failures = failures or {}
        self._kernels: dict[str, Kernel | TsmHarnessError] = {}
        self._implementations: dict[tuple[str, str], Implementation] = {}
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
        """End the clones in the pools, and remove the run directory."""
        try:
            for pool in self._pools.values():
                pool.close()
        finally:
            if self._run is not None:
                self._run.close()

    @cached_property
    def cache(self) -> Cache:
        """The cache, in the directory of the settings or in that of the user."""
        return Cache(
            cache_directory(self._settings.cache),
            shared=shared_cache_directory(self._settings.shared_cache),
            trusted=self._is_worker,
        )

    @cached_property
    def emulator(self) -> Emulator:
        """QEMU, before an accelerator is chosen."""
        return find_emulator(self._settings.qemu, self._settings)

    @property
    def run_directory(self) -> RunDirectory:
        """The private directory of this process."""
        if self._run is None:
            self._run = RunDirectory()
        return self._run

    def kernel(self, name: str) -> Kernel:
        """Return a kernel, which is fetched or built if needed; a failure is raised every time."""
        if name not in self._kernels:
            self._kernels[name] = self._resolve(name)
        found = self._kernels[name]
        if isinstance(found, TsmHarnessError):
            raise found.with_traceback(None)
        return found

    def _resolve(self, name: str) -> Kernel | TsmHarnessError:
        try:
            return resolve_kernel(
                name,
                self.cache,
                self.progress,
                build=self._settings.kernel_build,
                config=self._settings.kernel_config,
                trusted=self._is_worker,
            )
        except TsmHarnessError as error:
            return error

    def image(self, kernel: str) -> GuestImage:
        """Return the image of a kernel: its initramfs is the same for every implementation."""
        return prepare_image(self.kernel(kernel), self.cache, self.progress)

    def accelerator(self, kernel: str) -> Choice:
        """Choose KVM or TCG; if the choice is not cached, a probe guest of this kernel decides."""
        if self._choice is None:
            boot = boot_of(self.image(kernel))
            self._choice = choose_accelerator(
                self.emulator, boot, self.cache.root, self.run_directory, self.progress
            )
        return self._choice

    def factory(self, kernel: str) -> GuestFactory:
        """Return the factory that makes the guests of a kernel."""
        if kernel not in self._factories:
            emulator = self.emulator.with_accelerator(self.accelerator(kernel).accelerator)
            self._factories[kernel] = GuestFactory(
                self.image(kernel),
                emulator,
                self.cache,
                self.run_directory,
                self.progress,
            )
        return self._factories[kernel]

    def build(self, kernel: str, tsm: str) -> Build:
        """Return the modules of an implementation and its provider driver, built for a kernel."""
        if (kernel, tsm) not in self._builds:
            implementation = self.implementation(kernel, tsm)
            self._builds[kernel, tsm] = implementation.build(
                self.kernel(kernel), self.cache, self.progress
            )
        return self._builds[kernel, tsm]

    def implementation(self, kernel: str, tsm: str) -> Implementation:
        """Return an implementation; a patch to the kernel's own has been applied to its sources."""
        if (kernel, tsm) not in self._implementations:
            if failure := self.preparation_failure(kernel, tsm):
                raise BuildError(failure)
            named = parse_implementation(tsm)
            self._implementations[kernel, tsm] = named.on(
                self.kernel(kernel), self.cache, self.progress
            )
        return self._implementations[kernel, tsm]

    def known_implementation(self, kernel: str, tsm: str) -> Implementation:
        """Return :meth:`implementation`, or what is known without its sources if that fails."""
        try:
            return self.implementation(kernel, tsm)
        except TsmHarnessError:
            return parse_implementation(tsm)

    def template(self, kernel: str, tsm: str) -> Template:
        """Return the template of a kernel with an implementation and its driver loaded."""
        return self.factory(kernel).template(self.build(kernel, tsm).loads)

    def source_lines(self, kernel: str, tsm: str) -> SourceLines:
        """Return what finds source lines in the debug information of a kernel and its modules."""
        tree = self.kernel(kernel).build
        files = {"": tree / "vmlinux", **self.build(kernel, tsm).debug_files}
        return SourceLines(files, (tree / "source").resolve())

    def source_files(self, kernel: str, tsm: str) -> SourceFiles:
        """Return the sources of an implementation, and the kernel's where its tree is at hand."""
        source = self.known_implementation(kernel, tsm).source()
        texts = dict(source.files) if source is not None else {}
        return SourceFiles(texts, ((self.kernel(kernel).build / "source").resolve(),))

    def take_guest(self, kernel: str, tsm: str) -> Guest:
        """Return a pristine guest, and start the next clone of its template."""
        if failure := self.preparation_failure(kernel, tsm):
            raise BuildError(failure)
        if kernel not in self._pools:
            self._pools[kernel] = ClonePool(self.factory(kernel))
        return self._pools[kernel].take(self.template(kernel, tsm))

    def preparation_failure(self, kernel: str, tsm: str) -> str:
        """Return why the parent process could not prepare this pair, or an empty string."""
        return self._failures.get(f"{kernel} {tsm}", "")

    def provider(self, spec: str, seed: int) -> AnyProvider:
        """Return a simulated TEE: ``seed`` and the test PKI of the cache determine its evidence."""
        return create(spec, seed=seed, pki_dir=self.cache.root / "pki")

    def release(self, kernel: str) -> str:
        """Return the full release of a kernel, or its name if it is not available."""
        try:
            return self.kernel(kernel).release
        except TsmHarnessError:
            return kernel

    def label(self, kernel: str) -> str:
        """Return the name of a kernel's column: its release, and its name where two share it."""
        release = self.release(kernel)
        others = [each for each in self._settings.kernels if each != kernel]
        shared = any(self.release(each) == release for each in others)
        return f"{release} ({kernel})" if shared else release

    def config(self, kernel: str) -> Mapping[str, str]:
        """Return the configuration of a kernel; empty if the kernel is not available."""
        try:
            return self.kernel(kernel).config
        except TsmHarnessError:
            return {}

    def versions(self) -> dict[str, str]:
        """Describe the host for the evidence of a cell; empty without an emulator."""
        try:
            described = self.describe_host()
        except TsmHarnessError:
            return {}
        return {name: json.dumps(value) for name, value in described.items()}

    def describe_host(self) -> dict[str, object]:
        """Describe the host for a run report."""
        emulator, accelerator = self.emulator, "not chosen"
        if self._choice is not None:
            accelerator = self._choice.accelerator
            emulator = emulator.with_accelerator(self._choice.accelerator)
        return describe_host(
            harness_version=version("tsm-harness"),
            qemu_version=emulator.version_text,
            accelerator=accelerator,
            cpu_flags=emulator.cpu.split(","),
        )
