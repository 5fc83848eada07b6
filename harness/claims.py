# SPDX-License-Identifier: MIT
"""What a claim is, and which verdict on it a correct harness gives.

The claims themselves are data, in :mod:`scenarios.claims`; this module is the one place that
looks them up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

import pytest

from harness.detectors import SANITIZERS
from harness.errors import UsageError
from harness.implementations.defects import defects_breaking
from harness.implementations.spec import Implementation
from harness.implementations.user import read_user_implementation
from harness.verdict import Status
from providers_sim import parse_spec
from providers_sim.provider import Attr, BinAttr, mask

__all__ = [
    "Claim",
    "InterfaceKind",
    "Scope",
    "catalogue",
    "claim",
    "expected_status",
    "interface_kind",
    "select_claims",
    "undecided_claims",
]

InterfaceKind = Literal["class", "configfs"]


@dataclass(frozen=True)
class Claim:
    """One statement of the review, or one defect found since.

    ``impossible_on`` names the interfaces whose design breaks it, ``mended_by`` the defects that
    undo that; ``fails_on_mainline`` is true where the kernel's own implementation breaks it;
    ``undecided`` is the reason why no scenario decides it, empty where one does. The defects that
    break a claim are those that name it: :mod:`harness.implementations.defects`.
    """

    id: str
    raised_by: str
    demand: str
    impossible_on: tuple[InterfaceKind, ...] = ()
    mended_by: tuple[str, ...] = ()
    fails_on_mainline: bool = False
    undecided: str = ""


@dataclass(frozen=True)
class Scope:
    """Where a scenario has something to decide.

    ``only`` names the one interface that has what it is about, ``needs`` the attribute that a
    provider must show. ``text`` is for what reads the core's sources: of "any" core whose text is
    at hand, or only of one that is "brought", where running decides our own. ``sanitizer`` is the
    only one that detects what it is about. ``broken_by`` is for claims that several scenarios
    decide, each a part of it: the defects of this part.
    """

    only: InterfaceKind | None = None
    needs: str | None = None
    text: Literal["any", "brought"] | None = None
    sanitizer: str | None = None
    broken_by: tuple[str, ...] | None = None

    def skips(self, core: Implementation, provider: str, config: Mapping[str, str]) -> str:
        """Why the scenario does not apply to this core, provider and kernel; empty when it does.

        ``config`` is the kernel's configuration.
        """
        if self.sanitizer is not None:
            detector = SANITIZERS[self.sanitizer].detector
            if config.get(detector) != "y":
                return f"this kernel has no {self.sanitizer}: CONFIG_{detector} is off"
        if self.only not in (None, interface_kind(core)):
            return f"the {interface_kind(core)} interface has no such notion"
        if self.text and core.kind == "mainline":
            return "the text of the kernel's own core is not at hand"
        if self.text == "brought" and core.kind != "user":
            return "decided by running it"
        if self.needs is not None:
            kind, options = parse_spec(provider)
            attrs, bin_attrs = kind.visible(options)
            name = self.needs.upper()
            shown = (
                bin_attrs & mask(BinAttr[name])
                if name in BinAttr.__members__
                else (attrs & mask(Attr[name]))
            )
            if not shown:
                return f"{kind.id} does not show {self.needs}"
        return ""


def catalogue() -> Mapping[str, Claim]:
    """Every claim by its id, in the order a report shows them."""
    claims: Mapping[str, Claim] = import_module("scenarios.claims").CLAIMS
    return claims


def claim(
    ident: str,
    *,
    only: InterfaceKind | None = None,
    needs: str | None = None,
    text: Literal["any", "brought"] | None = None,
    sanitizer: str | None = None,
    broken_by: tuple[str, ...] | None = None,
) -> pytest.MarkDecorator:
    """Mark a scenario as one that decides the claim ``ident``.

    Where it has something to decide is what :class:`Scope` says; elsewhere it SKIPs.
    """
    return pytest.mark.claim(ident, scope=Scope(only, needs, text, sanitizer, broken_by))


def interface_kind(core: Implementation) -> InterfaceKind:
    """The interface that a core offers."""
    if core.kind == "user":
        return read_user_implementation(core.name).interface
    return "class" if core.kind == "class" else "configfs"


def expected_status(
    claim: Claim, core: Implementation, provider: str, scope: Scope, config: Mapping[str, str]
) -> Status:
    """The verdict that a correct harness gives for a reference core, on a kernel of ``config``."""
    interface = interface_kind(core)
    if scope.skips(core, provider, config):
        return Status.SKIP
    if core.kind == "user":
        return Status.PASS  # what a user brings is there to be judged
    defects = defects_breaking(claim.id) if scope.broken_by is None else scope.broken_by
    broken = (
        (interface in claim.impossible_on and not set(core.defects) & set(claim.mended_by))
        or (core.kind == "mainline" and claim.fails_on_mainline)
        or any(defect in defects for defect in core.defects)
    )
    return Status.FAIL if broken else Status.PASS


def undecided_claims() -> dict[str, str]:
    """The claims that no scenario decides, and why not."""
    return {claim.id: claim.undecided for claim in catalogue().values() if claim.undecided}


def decidable_claims(idents: Iterable[str]) -> tuple[str, ...]:
    """The ids of :func:`select_claims` that some scenario decides."""
    return tuple(claim.id for claim in select_claims(idents) if not claim.undecided)


def select_claims(idents: Iterable[str]) -> tuple[Claim, ...]:
    """The claims of those ids, all without any; raises :class:`UsageError` on an unknown one."""
    known = catalogue()
    by_upper = {ident.upper(): ident for ident in known}
    wanted = [by_upper.get(ident.upper(), ident) for ident in idents]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise UsageError(
            f"unknown claim: {', '.join(unknown)}", hint=f"there are {', '.join(known)}"
        )
    for ident in wanted:
        if known[ident].undecided:
            raise UsageError(f"no scenario decides {ident}: {known[ident].undecided}")
    return tuple(item for item in known.values() if not wanted or item.id in wanted)
