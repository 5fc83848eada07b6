# SPDX-License-Identifier: MIT
"""The claims: what reviewers of the TSM report interface demanded, and what should come of each.

Source of the claims: the review of "tsm: Introduce a shared ABI for attestation reports", version
2, on linux-coco, August 2023. The source of a core's expected verdict is the core itself: the
switches of ``guest-images/modules/tsm-class``, and drivers/virt/coco/tsm.c for ``mainline``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pytest

from harness.errors import UsageError
from harness.kernels.core import CoreSpec
from harness.report.verdict import Status

__all__ = ["CLAIMS", "SURFACE_KINDS", "Claim", "claim", "expected_status", "select_claims"]

SurfaceKind = Literal["class", "configfs"]

SURFACE_KINDS: tuple[SurfaceKind, ...] = ("class", "configfs")


@dataclass(frozen=True)
class Claim:
    """One statement of the review.

    ``broken_by`` names the defects of the sysfs-class core that break it, ``impossible_on`` the
    surfaces whose very design breaks it, ``fails_on_mainline`` whether the kernel's own core does.
    """

    id: str
    raised_by: str
    demand: str
    broken_by: tuple[str, ...] = ()
    impossible_on: tuple[SurfaceKind, ...] = ()
    fails_on_mainline: bool = False


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


def claim(ident: str, *, only: SurfaceKind | None = None) -> pytest.MarkDecorator:
    """Mark a scenario as one that decides the claim ``ident``.

    ``only`` names the one surface that has what the scenario is about; elsewhere it SKIPs.
    """
    return pytest.mark.claim(CLAIMS[ident].id, only=only)


def surface_kind(core: CoreSpec) -> SurfaceKind:
    """The surface that a core offers."""
    return "configfs" if core.kind == "mainline" else "class"


def expected_status(claim: Claim, core: CoreSpec, only: SurfaceKind | None) -> Status:
    """The verdict that a correct harness gives for a reference core."""
    surface = surface_kind(core)
    if only not in (None, surface):
        return Status.SKIP
    broken = (
        surface in claim.impossible_on
        or (core.kind == "mainline" and claim.fails_on_mainline)
        or any(defect in claim.broken_by for defect in core.defects)
    )
    return Status.FAIL if broken else Status.PASS


def select_claims(idents: Iterable[str]) -> tuple[Claim, ...]:
    """The claims of those ids, all without any; raises :class:`UsageError` on an unknown one."""
    wanted = [ident.upper() for ident in idents]
    unknown = sorted(set(wanted) - set(CLAIMS))
    if unknown:
        raise UsageError(
            f"unknown claim: {', '.join(unknown)}", hint=f"there are {', '.join(CLAIMS)}"
        )
    return tuple(item for item in _ALL if not wanted or item.id in wanted)
