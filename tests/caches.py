# SPDX-License-Identifier: MIT
"""Copies of the user's cache, for tests that change a cache."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER

__all__ = ["copy_used_cache"]


def copy_used_cache(session: Session, tsms: Iterable[str], target: Path) -> Path:
    """Copy what runs of ``tsms`` on the default kernel and provider use; make it if necessary.

    Where the name of an entry does not tell who uses it, all entries of its kind are copied.
    """
    root = session.cache.root
    session.provider(DEFAULT_PROVIDER, 0)
    kernel, image = session.kernel(DEFAULT_KERNEL), session.image(DEFAULT_KERNEL)
    [unpacked] = [each for each in kernel.image.parents if each.parent == root / "kernel"]
    wanted = {unpacked, image.initramfs.parent, root / "apt" / DEFAULT_KERNEL.replace(":", "-")}
    wanted.add(session.factory(DEFAULT_KERNEL).template().directory)
    for tsm in tsms:
        wanted.add(session.template(DEFAULT_KERNEL, tsm).directory)
        loads = session.build(DEFAULT_KERNEL, tsm).loads
        wanted |= {load.content.parent for load in loads if load.content}
    wanted |= {root / name for name in ("agent", "ssh", "pki", "accelerator.json")}
    for path in sorted(each for each in wanted if each.exists()):
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(path), str(place)], check=True)
    return target
