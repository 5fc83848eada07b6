# SPDX-License-Identifier: MIT
"""Where a scenario can decide its claim, and which verdict a correct harness gives there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.claims.model import Claim, InterfaceKind
from harness.detectors import SANITIZERS
from harness.implementations.defects import defects_breaking
from harness.implementations.spec import Implementation
from harness.implementations.user import read_user_implementation
from harness.verdict import Status
from providers_sim import parse_spec
from providers_sim.provider import Attr, BinAttr, mask

if TYPE_CHECKING:
    import pytest

__all__ = ["Scope", "claim", "expected_status", "interface_kind"]


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
    import pytest  # noqa: PLC0415 - the command line starts without it

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
