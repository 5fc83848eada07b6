# SPDX-License-Identifier: MIT
"""The claims of the review (:mod:`scenarios.claims`), and the scenarios that decide them."""

from __future__ import annotations

from pathlib import Path

from harness.claims import Catalogue
from scenarios.claims import CLAIMS

__all__ = ["CATALOGUE"]

CATALOGUE = Catalogue(CLAIMS, Path(__file__).parent, interface_claim="C6")
"""The entry point ``tsm_harness.catalogue`` of this package."""
