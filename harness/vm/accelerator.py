# SPDX-License-Identifier: MIT
"""KVM or TCG, decided by booting a guest.

Where nested virtualization is incomplete, ``/dev/kvm`` opens and creates machines and processors
but runs no ordinary guest. So a probe boots the image under KVM, and KVM is chosen only if its
agent answers in time. The result is cached until the host reboots or QEMU changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.guest.guest import Guest
from harness.progress import Progress
from harness.qemu.emulator import Accelerator, Emulator
from harness.qemu.machine import Boot, Machine, Memory
from harness.qemu.rundir import RunDirectory

__all__ = ["Choice", "choose_accelerator"]

_DEVICE = Path("/dev/kvm")
_CACHED = "accelerator.json"
_PROBE_SECONDS = 8.0  # a boot under KVM takes about one


@dataclass(frozen=True)
class Choice:
    """The accelerator to use, and why."""

    accelerator: Accelerator
    reason: str

    def digest(self, key: str) -> str:
        """Return a digest of the choice and of what it holds for, to notice a damaged file."""
        return hashlib.sha256(repr((key, self)).encode()).hexdigest()


def choose_accelerator(
    emulator: Emulator, boot: Boot, cache_root: Path, run: RunDirectory, progress: Progress
) -> Choice:
    """KVM if a probe guest runs under it, TCG otherwise; the result is kept in ``cache_root``."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        missing = "there is no /dev/kvm" if not _DEVICE.exists() else "/dev/kvm is not accessible"
        return Choice("tcg", missing)
    kvm = emulator.with_accelerator("kvm")
    key = f"{_boot_id()}-{kvm.host_identity()}"
    cached = cache_root / _CACHED
    try:
        values = json.loads(cached.read_bytes())
        choice = Choice(values["accelerator"], values["reason"])
        if values["key"] == key and values["digest"] == choice.digest(key):
            return choice
    except (OSError, ValueError, TypeError, LookupError):
        pass  # missing or damaged: probe again
    with progress.step("probing KVM with a guest"):
        choice = _probe(kvm, boot, run)
    values = {"key": key, "digest": choice.digest(key), **asdict(choice)}
    with contextlib.suppress(OSError):  # then the next run probes again
        if cached.is_dir():
            shutil.rmtree(cached)
        cached.unlink(missing_ok=True)  # it may be read-only
        cached.write_text(json.dumps(values), encoding="utf-8")
    return choice


def _probe(kvm: Emulator, boot: Boot, run: RunDirectory) -> Choice:
    directory = run.subdirectory("probe")
    try:
        machine = Machine(kvm, Memory(directory / "memory", shared=True), directory, boot=boot)
        with Guest(machine, seconds=_PROBE_SECONDS) as guest:
            guest.actors[0].read_file("/proc/uptime")
    except (HarnessError, OSError) as error:
        message = " ".join(str(error).split())
        return Choice("tcg", f"/dev/kvm opens, but a probe guest did not run under it: {message}")
    return Choice("kvm", "a probe guest ran under KVM")


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
