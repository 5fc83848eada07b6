# SPDX-License-Identifier: MIT
"""The identity of this harness: a verdict of another version must not be taken for one of this."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import providers_sim
import tsmw
from harness.paths import guest_images_directory

__all__ = ["harness_digest"]


@cache
def harness_digest(scenarios: Path) -> str:
    """SHA-256 of the sources of harness, providers, wire and guest, and of the ``scenarios``."""
    digest = hashlib.sha256()
    packages = (Path(file).parent for file in (__file__, providers_sim.__file__, tsmw.__file__))
    for root in (*packages, scenarios, guest_images_directory()):
        files = (file for file in root.rglob("*") if file.is_file())
        for path in sorted(file for file in files if "__pycache__" not in file.parts):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
