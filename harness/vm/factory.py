# SPDX-License-Identifier: MIT
"""From an image to a ready guest: boot once, freeze, and clone from then on.

There are two layers of templates. The *base* is an image booted to its ready point. A *staged*
template is a clone of the base, frozen again after an implementation and the provider driver were
loaded. Another implementation thus costs a module load instead of a boot.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError, GuestLostError, HarnessError, HostError
from harness.guest.guest import Guest
from harness.images.image import GuestImage
from harness.implementations.model import ModuleLoad
from harness.progress import Progress
from harness.qemu.emulator import Emulator
from harness.qemu.limits import full_disk
from harness.qemu.machine import Machine, Memory
from harness.qemu.rundir import RunDirectory
from harness.timeouts import Timeouts
from harness.vm.boot import KERNEL_ARGUMENTS, boot_error, boot_of
from harness.vm.clock import clock_rate, keeps_time
from harness.vm.clone import restore, save
from harness.vm.template import Template, copy_sparse, seal
from tsmw.constants import VERSION

__all__ = ["GuestFactory"]

# What a frozen guest still prints on the slow serial line: emergencies. An oops or a panic makes
# the console verbose by itself; everything else comes from the kernel log.
_CONSOLE_LEVELS = b"1 4 1 7"
_MONITOR_SECONDS = 30.0
_MAX_TEMPLATE_BYTES = 24 << 30  # on disk, of all templates in the cache; one has some 140 MiB
_BOOTS = 5  # until the guest's clock keeps time


class GuestFactory:
    """Makes guests of one image on one emulator.

    Raises :class:`BuildError` when a template cannot be made.
    """

    def __init__(
        self,
        image: GuestImage,
        emulator: Emulator,
        cache: Cache,
        run: RunDirectory,
        progress: Progress,
    ) -> None:
        self.image = image
        self.emulator = emulator
        self._cache = cache
        self._run = run
        self._progress = progress
        self._templates: dict[tuple[ModuleLoad, ...], Template] = {}
        self._boot_failure: BuildError | HostError | None = None
        self._timeouts: Timeouts | None = None

    def start_boot(self, memory: Path | None = None) -> Machine:
        """Start a cold boot; ``memory`` is the memory file to use for a template."""
        directory = self._run.subdirectory("boot")
        backing = Memory(memory or directory / "memory", shared=True)
        return Machine(self.emulator, backing, directory, boot=boot_of(self.image))

    def boot(self, memory: Path | None = None) -> Guest:
        """Boot the image from cold and wait until the guest is ready."""
        machine = self.start_boot(memory)
        try:
            return Guest.booted(machine)
        except HarnessError as error:
            if full := full_disk(machine.memory.path.parent):
                raise full from error
            raise boot_error(self.image, machine, error, self._cache.root) from error

    def clone(self, template: Template) -> Guest:
        """A copy-on-write copy of a frozen guest.

        The first one tells how fast guests answer now: the template may have been made on a host
        that was busier, or less busy.
        """
        guest = restore(self.emulator, template.saved, self._run.subdirectory("clone"))
        try:
            if self._timeouts is None:
                self._timeouts = Timeouts.calibrated(guest.session.ping())
        except BaseException:
            guest.close()
            raise
        guest.timeouts = self._timeouts
        return guest

    def fork(self, guest: Guest) -> Guest:
        """A copy of a running guest with a copy of its provider; both guests go on from here.

        Raises :class:`ScenarioError` when a call is open or a request is with the provider.
        """
        directory = self._run.subdirectory("fork")
        saved = save(guest, directory / "state")
        copy = restore(self.emulator, saved, directory)
        saved.state.unlink()
        return copy

    def template(self, loads: Sequence[ModuleLoad] = ()) -> Template:
        """The template in which ``loads`` are loaded and the relay runs; made if missing.

        Without ``loads`` it is the base, where no relay runs.
        """
        wanted = tuple(loads)
        if wanted not in self._templates:
            self._templates[wanted] = self._staged(wanted) if wanted else self._base()
        return self._templates[wanted]

    def _base(self) -> Template:
        if self._boot_failure is not None:  # do not boot it again for each implementation
            raise self._boot_failure
        arguments = list(KERNEL_ARGUMENTS)
        key = _digest(self.emulator.identity(), self.image.key, arguments, VERSION, "base-2")
        try:
            return self._cached(key, self._make_base, "booting")
        except (BuildError, HostError) as error:
            self._boot_failure = error
            raise

    def _make_base(self, directory: Path) -> None:
        memory = directory / "memory"
        for _ in range(_BOOTS):
            with self.boot(memory) as guest:
                rate = clock_rate(guest)
                if keeps_time(rate):
                    self._freeze(guest, directory)
                    return
            memory.unlink()
        raise BuildError(
            f"in each of {_BOOTS} boots the guest measured a wrong frequency of its processor's "
            f"clock: it counts {rate[0]:.2g} seconds in one second of the host",
            hint="run it again when the host is less busy",
        )

    def _staged(self, loads: tuple[ModuleLoad, ...]) -> Template:
        base = self.template()
        key = _digest(
            base.directory.name, [[load.path, load.parameters, load.digest] for load in loads]
        )

        def make(directory: Path) -> None:
            memory = directory / "memory"
            copy_sparse(base.memory, memory)
            saved = replace(base.saved, memory=memory)
            run = self._run.subdirectory("stage")
            try:
                with restore(self.emulator, saved, run, shared=True) as guest:
                    for load in loads:
                        _insmod(guest, load)
                    guest.relay(start=True)
                    self._freeze(guest, directory)
            except GuestLostError as error:
                if full := full_disk(directory):
                    raise full from error
                raise

        return self._cached(key, make, "loading the implementation into")

    def _freeze(self, guest: Guest, directory: Path) -> None:
        """Make the template in ``directory`` of a guest whose memory file is there; end it."""
        guest.actors[0].write_file("/proc/sys/kernel/printk", _CONSOLE_LEVELS)
        guest.log.assert_clean()
        ping = guest.session.ping()
        guest.session.client.close()
        monitor = guest.machine.monitor(seconds=_MONITOR_SECONDS)
        with (directory / "state").open("xb") as state:
            monitor.freeze(state.fileno())
        monitor.close()
        guest.machine.kill()
        seal(directory, self.emulator, ping)

    def _cached(self, key: str, make: Callable[[Path], None], verb: str) -> Template:
        def build(directory: Path) -> None:
            with self._progress.step(f"{verb} {self.image.kernel.release}"):
                make(directory)
                self._check_clone(Template.load(directory, self.emulator, verify=False))
            self._cache.limit("template", _MAX_TEMPLATE_BYTES)

        entry = self._cache.get_or_make("template", key, build)
        try:
            return Template.load(entry, self.emulator, verify=False)
        except BuildError:
            self._cache.discard("template", key)
            entry = self._cache.get_or_make("template", key, build)
            return Template.load(entry, self.emulator, verify=False)

    def _check_clone(self, template: Template) -> None:
        try:
            with self.clone(template) as guest:
                guest.actors[0].read_file("/proc/uptime")
        except HarnessError as error:
            raise BuildError(f"a clone of the new template does not work: {error}") from error


def _insmod(guest: Guest, load: ModuleLoad) -> None:
    try:
        if load.content is not None:
            guest.actors[0].create_file(load.path, load.content.read_bytes())
        guest.actors[0].insmod(load.path, load.parameters)
    except OSError as error:
        raise BuildError(
            f"the guest refused {load.path} {load.parameters}: {error.strerror}\n"
            + "\n".join(record.text for record in guest.log.records[-5:])
        ) from error


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
