# SPDX-License-Identifier: MIT
"""The tool a kernel developer would reach for otherwise, on the same kernel: virtme-ng."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from harness.kernels import Kernel

__all__ = ["obstacle", "virtme_ng"]

_SECONDS = 300.0
_TOOLS = ("vng", "depmod")
_QUESTION, _ANSWER = "echo $((6 * 7))-is-the-answer", b"42-is-the-answer"


def obstacle(kernel: Kernel) -> str:
    """What keeps virtme-ng from booting ``kernel`` here; empty when nothing does."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"no {', '.join(missing)} on this host"
    if kernel.setting("NET_9P_VIRTIO") == "n":
        return "its kernels need 9p: try debian:6.12-generic"
    if kernel.modules is None:
        return "the kernel's modules are not to be found"
    return ""


def virtme_ng(kernel: Kernel, directory: Path) -> float | None:
    """Seconds from virtme-ng's start to a first command's answer; None when none comes.

    It wants an index beside the modules and makes one: in ``directory``, among links to the
    kernel's files, and in a run of its own before the one that is measured.
    """
    image = _linked(kernel, directory)
    return _answer_seconds(image) and _answer_seconds(image)


def _answer_seconds(image: Path) -> float | None:
    # Verbose, since without udev on the host the answer comes over the console alone.
    command = ["vng", "--verbose", "--run", str(image), "--disable-kvm", "--", _QUESTION]
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
    # Its exit status tells more than whether the guest came up: without udev it is 255.
    seconds = time.perf_counter() - start
    return seconds if _ANSWER in done.stdout + done.stderr else None


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
