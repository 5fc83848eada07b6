# SPDX-License-Identifier: MIT
"""The image of a kernel: its initramfs, with the agent, boot modules and a few programs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from harness.cache import Cache
from harness.images.agent import build_agent
from harness.images.cpio import newc
from harness.images.initramfs import tree
from harness.images.keys import SshKeys, ssh_keys
from harness.kernels.model import Kernel
from harness.kernels.module_files import read_modules
from harness.progress import Progress

__all__ = ["GuestImage", "boot_modules", "prepare_image"]

_BOOT_MODULES = {
    "VIRTIO": "virtio",
    "VIRTIO_RING": "virtio_ring",
    "VIRTIO_PCI": "virtio_pci",
    "VIRTIO_CONSOLE": "virtio_console",  # the ports of agent, provider and ssh
    "CONFIGFS_FS": "configfs",  # implementations with the configfs interface need it
}
"""Kconfig symbols and their modules, which init loads where the symbol is m."""


@dataclass(frozen=True)
class GuestImage:
    """A kernel with its initramfs; ``key`` is a digest of both."""

    kernel: Kernel
    initramfs: Path
    key: str
    ssh_keys: SshKeys


def prepare_image(kernel: Kernel, cache: Cache, progress: Progress) -> GuestImage:
    """Make the image of ``kernel``; implementations are loaded into a guest that booted it.

    The same inputs give the same bytes. Raises :class:`harness.errors.BuildError` with the
    compiler's errors, :class:`harness.errors.HostError` when a tool is missing.
    """
    agent = build_agent(cache, progress)
    keys = ssh_keys(cache)
    archive = newc(
        tree(agent=(agent / "agent").read_bytes(), modules=boot_modules(kernel), keys=keys)
    )
    digest = hashlib.sha256(archive).hexdigest()

    def store(directory: Path) -> None:
        (directory / "initramfs.cpio").write_bytes(archive)

    entry = cache.get_or_make("initramfs", digest, store)
    key = hashlib.sha256(json.dumps([kernel.digest, digest]).encode()).hexdigest()
    return GuestImage(kernel, entry / "initramfs.cpio", key, keys)


def boot_modules(kernel: Kernel) -> dict[str, bytes]:
    """The kernel's own modules that init loads, by name, in this order."""
    wanted = [name for symbol, name in _BOOT_MODULES.items() if kernel.setting(symbol) == "m"]
    return read_modules(kernel, wanted)
