# SPDX-License-Identifier: MIT
"""The cache: immutable directories by the digest of what they were made of.

``store`` makes, locks and prunes them; ``seal`` notices when one was changed since.
"""

from __future__ import annotations

from harness.cache.store import Cache, Entry

__all__ = ["Cache", "Entry"]
