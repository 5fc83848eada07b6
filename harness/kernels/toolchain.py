# SPDX-License-Identifier: MIT
"""The host's compiler as part of what a build is made of."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HostError

__all__ = ["build_digest", "compiler_version"]


def compiler_version(compiler: str) -> str:
    """What ``compiler`` says it is; raises :class:`HostError` naming the package without it."""
    path = shutil.which(compiler)
    if path is None:
        raise HostError(
            f"there is no {compiler} on this host to build with",
            hint=f"run `make setup`, or install the package {compiler}",
        )
    return subprocess.run(
        [path, "--version"], capture_output=True, text=True, errors="replace", check=False
    ).stdout


def build_digest(root: Path, files: Iterable[Path], *words: str) -> str:
    """SHA-256 over files, their paths below ``root``, and whatever else the result depends on."""
    digest = hashlib.sha256(repr(words).encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
