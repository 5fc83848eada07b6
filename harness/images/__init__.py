# SPDX-License-Identifier: MIT
"""Images: the initramfs a guest boots, made of a kernel's modules, the agent and a few tools."""

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
from harness.implementations.modules import boot_modules, build_guest_modules, kernel_modules
from harness.kernels import Kernel
from harness.progress import Progress

__all__ = ["GuestImage", "SshKeys", "prepare_image"]


@dataclass(frozen=True)
class GuestImage:
    """A kernel with its initramfs; ``key`` changes whenever either does."""

    kernel: Kernel
    initramfs: Path
    key: str
    ssh_keys: SshKeys


def prepare_image(kernel: Kernel, cache: Cache, progress: Progress) -> GuestImage:
    """The image of ``kernel``: one initramfs that serves every TSM core.

    The same inputs give the same bytes. Raises :class:`harness.errors.BuildError` with the
    compiler's words, :class:`harness.errors.HostError` when a tool is missing.
    """
    modules = build_guest_modules(kernel, cache, progress)
    agent = build_agent(cache, progress)
    keys = ssh_keys(cache)
    own = {path.name: path.read_bytes() for path in sorted(modules.glob("*.ko"))}
    archive = newc(
        tree(
            agent=(agent / "agent").read_bytes(),
            modules=kernel_modules(kernel) | own,
            boot_modules=boot_modules(kernel),
            keys=keys,
        )
    )
    digest = hashlib.sha256(archive).hexdigest()

    def store(directory: Path) -> None:
        (directory / "initramfs.cpio").write_bytes(archive)

    entry = cache.get_or_make("initramfs", digest, store)
    key = hashlib.sha256(json.dumps([kernel.digest, digest]).encode()).hexdigest()
    return GuestImage(kernel, entry / "initramfs.cpio", key, keys)
