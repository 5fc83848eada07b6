# SPDX-License-Identifier: MIT
"""Deviations from the model that a claim of the catalogue already describes.

Exploration names the claim that explains a disagreement. It can also take a deviation as allowed,
to find what lies behind it.
"""

from __future__ import annotations

__all__ = ["DEVIATIONS"]

DEVIATIONS: dict[str, str] = {
    "T1": "a write of the current value does not move the generation",
    "P1": "a nonce that is a prefix of the stored one is not stored",
    "T3": "a shorter nonce leaves the end of a longer one in the array",
    "K3": "a privilege level beyond the highest one is accepted",
    "P6": "options survive the provider",
    "P7": "reads at an offset return bytes of another report than the reads before",
    "F1": "a read of a blob that the new report lacks crashes",
    "F2": "a reader gets a mixture of two reports when the report is made anew meanwhile",
    "F3": "a refused write of the nonce empties the stored nonce",
    "F6": "a cached report is served without a provider",
    "F11": "a refused service GUID clears the stored one",
    "P12": "a positive result of report_new counts as success",
}
"""The deviations by the id of the claim."""
