# SPDX-License-Identifier: MIT
"""Digests of the files that a kernel build leaves for the harness, to notice damaged ones."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["discard_damaged", "output_digests"]

_LOG = logging.getLogger(__name__)
_FILES = (
    "arch/x86/boot/bzImage",
    ".config",
    "Module.symvers",
    "include/config/kernel.release",
)


def output_digests(out: Path) -> dict[str, str]:
    """Return the SHA-256 of the image, the configuration, the symbols and every module."""
    names = [*_FILES, *_modules(out)]
    return {name: _digest(out / name) for name in names if (out / name).is_file()}


def discard_damaged(out: Path, stamp: Path) -> bool:
    """Remove what differs from the digests in ``stamp``, so that make builds it again.

    The stamp is removed too then. Returns whether something was damaged.
    """
    recorded: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        recorded = dict(json.loads(stamp.read_bytes())["files"])
    damaged = [name for name, digest in recorded.items() if _digest(out / name) != digest]
    for name in damaged:
        _remove(out / name)
    if damaged or stamp.is_dir():
        _remove(stamp)
    if damaged:
        _LOG.warning(
            "tsm-harness: the kernel build %s is damaged (%s); it is made again",
            out.name,
            damaged[0],
        )
    return bool(damaged)


def _modules(out: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for line in (out / "modules.order").read_text(encoding="utf-8").splitlines():
            yield line.removesuffix(".o").removesuffix(".ko") + ".ko"


def _digest(path: Path) -> str:
    """Return the digest of a file; empty when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
