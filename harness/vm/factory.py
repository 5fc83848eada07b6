# SPDX-License-Identifier: MIT
"""From an image to a ready guest: boot once, freeze, and clone from then on.

Templates come in two layers. The *base* is an image booted to its ready point; a *staged*
template is a clone of the base in which a TSM core and the provider driver were loaded, frozen
again. A core thus costs a module load, not a boot.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError, HarnessError
from harness.guest.guest import Guest
from harness.images import GuestImage
from harness.progress import Progress
from harness.qemu.emulator import Emulator
from harness.qemu.machine import Boot, Machine, Memory
from harness.qemu.rundir import RunDirectory
from harness.timeouts import Timeouts
from harness.vm.fork import resume_guest, save_guest
from harness.vm.template import Template, copy_sparse, seal
from tsmw.constants import VERSION

__all__ = ["GuestFactory", "ModuleLoad", "boot_of"]

_KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "loglevel=7",
    "panic=-1",  # a panic ends QEMU at once: -no-reboot turns the reboot into an exit
    "rdinit=/init",
    "random.trust_cpu=on",
    "tsc=reliable",  # the watchdog would call a stopped virtual processor an unstable clock
    # Sanity checks, red zones, poison and owners for the caches reports are allocated from.
    "slab_debug=FZPU,kmalloc-*",
)
# What a frozen guest may still print on the slow serial line: emergencies. An oops or a panic
# turns the console verbose by itself; everything else is read from the kernel log.
_CONSOLE_LEVELS = b"1 4 1 7"
_MONITOR_SECONDS = 30.0


@dataclass(frozen=True)
class ModuleLoad:
    """A module file in the guest and the parameters it is loaded with.

    ``content`` is a file of the host's that is copied there first.
    """

    path: str
    parameters: str = ""
    content: Path | None = None

    @cached_property
    def digest(self) -> str:
        """What of the host's is copied; empty when nothing is."""
        return hashlib.sha256(self.content.read_bytes()).hexdigest() if self.content else ""


def boot_of(image: GuestImage) -> Boot:
    """How an image is booted: with the arguments every guest gets."""
    return Boot(image.kernel.image, image.initramfs, " ".join(_KERNEL_ARGUMENTS))


class GuestFactory:
    """Makes guests of one image on one emulator.

    ``trusted`` skips the byte-for-byte check of cached templates, for worker processes whose
    parent has just made it. Raises :class:`BuildError` when a template cannot be made.
    """

    def __init__(
        self,
        image: GuestImage,
        emulator: Emulator,
        cache: Cache,
        run: RunDirectory,
        progress: Progress,
        *,
        trusted: bool = False,
    ) -> None:
        self.image = image
        self.emulator = emulator
        self._cache = cache
        self._run = run
        self._progress = progress
        self._trusted = trusted
        self._known: dict[tuple[ModuleLoad, ...], Template] = {}
        self._broken: BuildError | None = None

    def start(self, memory: Path | None = None) -> Machine:
        """Begin to boot the image from cold; ``memory`` keeps its memory file for a template."""
        directory = self._run.subdirectory("boot")
        backing = Memory(memory or directory / "memory", shared=True)
        return Machine(self.emulator, backing, directory, boot=boot_of(self.image))

    def boot(self, memory: Path | None = None) -> Guest:
        """Boot the image from cold and wait until it is ready."""
        kernel, machine = self.image.kernel, self.start(memory)
        try:
            return Guest.booted(machine)
        except HarnessError as error:
            raise BuildError(
                f"{kernel.spec} did not come up: {error}{_console_tail(machine.console)}",
                hint=f"the whole console is in {_keep_console(machine.console, self._cache.root)}; "
                "`tsm-harness shell --console` shows it live",
            ) from error

    def template(self, loads: Sequence[ModuleLoad] = ()) -> Template:
        """The template in which ``loads`` are loaded and the relay runs; made when missing."""
        wanted = tuple(loads)
        if wanted not in self._known:
            if not wanted:
                self._known[wanted] = self._base()
            else:
                base = self.template()
                key = _digest(
                    base.directory.name, [[m.path, m.parameters, m.digest] for m in wanted]
                )
                make = self._stager(base, wanted)
                self._known[wanted] = self._cached(key, make, "loading the TSM core into")
        return self._known[wanted]

    def _base(self) -> Template:
        if self._broken is not None:  # one boot that fails is enough for every core
            raise self._broken
        try:
            return self._cached(self._base_key(), self._make_base, "booting")
        except BuildError as error:
            self._broken = error
            raise

    def clone(self, template: Template) -> Guest:
        """A pristine copy-on-write copy of a frozen guest, running and reseeded."""
        return self._restore(template, Memory(template.memory, shared=False), "clone")

    def fork(self, guest: Guest) -> Guest:
        """A copy of a running guest, with a copy of its provider; both go on from here.

        The guest must be at rest: no call open, no request with its provider. Raises
        :class:`ScenarioError` when it is not.
        """
        directory = self._run.subdirectory("fork")
        provider_state = save_guest(guest, directory / "state")
        machine = Machine(
            self.emulator, Memory(guest.machine.memory.path, shared=False), directory, boot=None
        )
        return resume_guest(machine, directory / "state", guest, provider_state)

    def _restore(self, template: Template, memory: Memory, stem: str) -> Guest:
        machine = Machine(self.emulator, memory, self._run.subdirectory(stem), boot=None)
        try:
            monitor = machine.monitor(seconds=_MONITOR_SECONDS)
            with template.state.open("rb") as state:
                monitor.restore(state.fileno())
            monitor.close()
        except BaseException:
            machine.kill()
            raise
        return Guest(machine, timeouts=Timeouts.calibrated(template.ping_s))

    def _cached(self, key: str, make: Callable[[Path], None], verb: str) -> Template:
        def build(directory: Path) -> None:
            with self._progress.step(f"{verb} {self.image.kernel.release}"):
                make(directory)
                self._prove(Template.load(directory, self.emulator, verify=False))

        entry = self._cache.get_or_make("template", key, build)
        try:
            return Template.load(entry, self.emulator, verify=not self._trusted)
        except BuildError:
            self._cache.discard("template", key)
            entry = self._cache.get_or_make("template", key, build)
            return Template.load(entry, self.emulator, verify=False)

    def _prove(self, template: Template) -> None:
        try:
            with self.clone(template) as guest:
                guest.actors[0].read_file("/proc/uptime")
        except HarnessError as error:
            raise BuildError(f"a fresh template gives no usable clone: {error}") from error

    def _make_base(self, directory: Path) -> None:
        with self.boot(directory / "memory") as guest:
            self._freeze(guest, directory)

    def _stager(self, base: Template, loads: Sequence[ModuleLoad]) -> Callable[[Path], None]:
        def make(directory: Path) -> None:
            copy_sparse(base.memory, directory / "memory")
            with self._restore(base, Memory(directory / "memory", shared=True), "stage") as guest:
                for load in loads:
                    _insmod(guest, load)
                guest.relay(start=True)
                self._freeze(guest, directory)

        return make

    def _freeze(self, guest: Guest, directory: Path) -> None:
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

    def _base_key(self) -> str:
        return _digest(
            self.emulator.identity(), self.image.key, list(_KERNEL_ARGUMENTS), VERSION, "base-1"
        )


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


def _console_tail(console: Path, lines: int = 12) -> str:
    try:
        with console.open("rb") as stream:
            stream.seek(max(0, console.stat().st_size - 8192))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    tail = [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
    return (
        "\nlast lines of its console:\n  " + "\n  ".join(tail) if tail else "; it printed nothing"
    )


def _keep_console(console: Path, root: Path) -> Path:
    kept = root / "last-failed-boot.log"
    try:
        shutil.move(console, kept)
    except OSError:
        return console
    return kept
