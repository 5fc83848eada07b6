# SPDX-License-Identifier: MIT
"""What this harness is, byte for byte: verdicts that another one reached are not its own."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import providers_sim
import scenarios
from harness.paths import guest_images_directory

__all__ = ["harness_digest"]


@cache
def harness_digest() -> str:
    """A digest of the sources of the harness, of its providers, its scenarios and its guest."""
    digest = hashlib.sha256()
    packages = (Path(__file__), Path(providers_sim.__file__), Path(scenarios.__file__))
    for root in (*(path.parent for path in packages), guest_images_directory()):
        files = (one for one in root.rglob("*") if one.is_file() and "__pycache__" not in one.parts)
        for path in sorted(files):
            digest.update(f"{path.relative_to(root)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
