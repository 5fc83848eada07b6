# SPDX-License-Identifier: MIT
"""Claims: what they are, where a scenario can decide them, and which ones are installed.

``model`` has the data, ``scope`` predicts the verdict on a reference implementation, and
``catalogue`` finds the installed claims. The claims themselves and their scenarios are not part of
the harness: a package hands them in through the entry point ``tsm_harness.catalogue``.
"""

from __future__ import annotations

from harness.claims.catalogue import Catalogue
from harness.claims.model import Claim
from harness.claims.scope import claim

__all__ = ["Catalogue", "Claim", "claim"]
