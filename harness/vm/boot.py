# SPDX-License-Identifier: MIT
"""A cold boot of an image: its kernel arguments, and the error that explains a failed one."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.errors import BuildError, HarnessError
from harness.images.image import GuestImage
from harness.qemu.machine import Boot, Machine

__all__ = ["KERNEL_ARGUMENTS", "boot_error", "boot_of"]

KERNEL_ARGUMENTS = (
    "console=ttyS0",
    "loglevel=7",
    "panic=-1",  # a panic reboots at once, and -no-reboot makes that QEMU's exit
    "rdinit=/init",
    "random.trust_cpu=on",
    "tsc=reliable",  # the watchdog would call a stopped virtual processor an unstable clock
    # Sanity checks, red zones, poison and owners for the caches reports are allocated from.
    "slab_debug=FZPU,kmalloc-*",
)
_TAIL_BYTES, _TAIL_LINES = 8192, 12
_KEPT_CONSOLE = "last-failed-boot.log"


def boot_of(image: GuestImage) -> Boot:
    """What a machine boots to run ``image``."""
    return Boot(image.kernel.image, image.initramfs, " ".join(KERNEL_ARGUMENTS))


def boot_error(
    image: GuestImage, machine: Machine, error: HarnessError, cache_root: Path
) -> BuildError:
    """The error for a boot that failed; the whole console is kept in ``cache_root``."""
    tail = _console_tail(machine)
    console = cache_root / _KEPT_CONSOLE
    try:
        shutil.move(machine.console, console)
    except OSError:
        console = machine.console
    return BuildError(
        f"{image.kernel.spec} did not come up: {error}{tail}",
        hint=f"the whole console is in {console}; `tsm-harness shell --console` shows it live",
    )


def _console_tail(machine: Machine) -> str:
    text = machine.console_bytes(_TAIL_BYTES).decode("utf-8", "replace")
    lines = [line.rstrip() for line in text.splitlines() if line.strip()][-_TAIL_LINES:]
    if not lines:
        return "; it printed nothing"
    return "\nlast lines of its console:\n  " + "\n  ".join(lines)
