# SPDX-License-Identifier: MIT
"""The claims: what reviewers of the TSM report interface demanded, and what should come of each.

Source of the claims: the review of "tsm: Introduce a shared ABI for attestation reports", version
2, on linux-coco, August 2023. The source of a core's expected verdict is the core itself: the
switches of ``guest-images/modules/tsm-class``, and drivers/virt/coco/tsm.c for ``mainline``.
"""

from __future__ import annotations

from harness.claims import Claim

__all__ = ["CLAIMS"]

_ALL = (
    Claim(
        "S1",
        "Samuel Ortiz",
        "No caller takes a report over another caller's nonce for its own: it cannot happen, or "
        "the generation protocol flags it.",
        broken_by=("same-value",),
    ),
    Claim(
        "S3",
        "Samuel Ortiz",
        "A good report is not flagged because another caller wrote after it was made.",
        impossible_on=("class",),
    ),
    Claim(
        "R1",
        "Roy Hopkins",
        "A failed regeneration frees the old report once.",
        broken_by=("double-free",),
    ),
    Claim(
        "J1",
        "Jeremi Piotrowski",
        "Readers that meet share one report: it is made once and the old one freed once.",
        broken_by=("reader-race",),
    ),
    Claim(
        "T1",
        "Tom Lendacky",
        "Every write moves the generation, also one that writes the value already there.",
        broken_by=("same-value",),
    ),
    Claim(
        "T3",
        "Tom Lendacky",
        "A shorter nonce leaves nothing of a longer one before it.",
        broken_by=("stale-tail",),
        fails_on_mainline=True,
    ),
    Claim(
        "T4",
        "Tom Lendacky",
        "Registering a second provider fails, and says so.",
        broken_by=("second-register",),
    ),
    Claim(
        "K3",
        "Greg Kroah-Hartman",
        "A privilege level outside the documented range is refused.",
        broken_by=("privlevel-unbounded",),
    ),
)

CLAIMS = {claim.id: claim for claim in _ALL}
"""Every claim by its id, in the order a report shows them."""
