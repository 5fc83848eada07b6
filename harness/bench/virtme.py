# SPDX-License-Identifier: MIT
"""Boots the same kernel with virtme-ng, as a baseline."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from harness.kernels.model import Kernel

__all__ = ["obstacle", "virtme_ng"]

_SECONDS = 300.0
_TOOLS = ("vng", "depmod")
_COMMAND, _OUTPUT = "echo $((6 * 7))-is-the-output", b"42-is-the-output"


def obstacle(kernel: Kernel) -> str:
    """Return why virtme-ng cannot boot ``kernel`` on this host; empty when it can."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"no {', '.join(missing)} on this host"
    if kernel.setting("NET_9P_VIRTIO") == "n":
        return "the kernel has no 9p: use debian:6.12-generic"
    if kernel.modules is None:
        return "the modules of the kernel were not found"
    return ""


def virtme_ng(kernel: Kernel, directory: Path) -> float | None:
    """Time virtme-ng from its start to the output of a first command; None without output.

    virtme-ng writes an index beside the modules. It does so in ``directory``, which links to the
    files of the kernel, and in a first run that is not measured.
    """
    image = _linked(kernel, directory)
    return _boot_seconds(image) and _boot_seconds(image)


def _boot_seconds(image: Path) -> float | None:
    # --verbose: on a host without udev, the output comes over the console only.
    command = ["vng", "--verbose", "--run", str(image), "--disable-kvm", "--", _COMMAND]
    start = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            cwd=image.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # The exit status does not tell whether the guest ran: on a host without udev it is 255.
    seconds = time.perf_counter() - start
    return seconds if _OUTPUT in done.stdout + done.stderr else None


def _linked(kernel: Kernel, directory: Path) -> Path:
    assert kernel.modules is not None
    modules = directory / "lib" / "modules" / kernel.release
    modules.mkdir(parents=True)
    for path in kernel.modules.parent.iterdir():
        (modules / path.name).symlink_to(path)
    boot = directory / "boot"
    boot.mkdir()
    image = boot / f"vmlinuz-{kernel.release}"
    image.symlink_to(kernel.image)
    return image
