# SPDX-License-Identifier: MIT
"""One claim, as data."""

from __future__ import annotations

from dataclasses import dataclass

from harness.implementations.model import InterfaceKind

__all__ = ["Claim"]


@dataclass(frozen=True)
class Claim:
    """One statement of the review, or one defect found since.

    ``link`` is where it was raised, or empty: the review mail
    (https://lore.kernel.org/r/MESSAGE-ID), or the code or documentation that it is about.
    ``impossible_on`` names the interfaces whose design breaks the claim, ``why_impossible`` says
    how it does, and ``mended_by`` names the defects that undo that. ``fails_on_mainline`` is true
    if the kernel's own implementation breaks it. ``undecided`` is the reason why no scenario
    decides the claim, or empty. The defects that break a claim name it:
    :mod:`harness.implementations.defects`.
    """

    id: str
    raised_by: str
    demand: str
    link: str = ""
    impossible_on: tuple[InterfaceKind, ...] = ()
    why_impossible: str = ""
    mended_by: tuple[str, ...] = ()
    fails_on_mainline: bool = False
    undecided: str = ""
