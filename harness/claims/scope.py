# SPDX-License-Identifier: MIT
"""Where a scenario can decide its claim, and which verdict a correct harness gives there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from harness.claims.catalogue import catalogue
from harness.claims.model import Claim
from harness.claims.target import Target
from harness.detectors import SANITIZERS
from harness.implementations.defects import defects_breaking
from harness.implementations.model import Implementation, InterfaceKind
from harness.interface.names import AttributeName
from harness.verdict import Status

if TYPE_CHECKING:
    import pytest

__all__ = [
    "Scope",
    "breaks_by_design",
    "claim",
    "expected_status",
    "missing_reason",
    "noticed_defects",
]


@dataclass(frozen=True)
class Scope:
    """Where a scenario can decide its claim; everywhere else it is skipped, as predicted.

    ``only``: the only interface with the feature that the claim is about.
    ``needs``: an attribute that implementation and provider must show.
    ``filled``: a blob in which the provider's reports must have bytes.
    ``counters``: the provider driver must be able to set the counters of an entry.
    ``sources``: the scenario reads sources: those of any implementation that has them at hand, or
    only those that a user brought (ours are decided by running them).
    ``sanitizer``: the only sanitizer that detects the problem.
    ``excluded_by``: a kernel option with which the kernel cannot get into the state needed.
    ``processors``: how many the guest must have.
    ``broken_by``: if several scenarios decide a claim, the defects that this one detects.
    """

    only: InterfaceKind | None = None
    needs: AttributeName | None = None
    filled: AttributeName | None = None
    counters: bool = False
    sources: Literal["any", "user"] | None = None
    sanitizer: str | None = None
    excluded_by: str | None = None
    processors: int = 1
    broken_by: tuple[str, ...] | None = None

    def conditions(self) -> tuple[str, ...]:
        """Return what the scenario needs to decide its claim, for people; empty: nothing."""
        sources = {"any": "sources that are at hand", "user": "sources that a user brought"}
        texts = (
            f"the {self.only} interface" if self.only else "",
            f"the attribute {self.needs}" if self.needs else "",
            f"a provider that fills {self.filled}" if self.filled else "",
            "counters directly behind struct tsm_report" if self.counters else "",
            sources[self.sources] if self.sources else "",
            f"a kernel with {self.sanitizer}" if self.sanitizer else "",
            f"a kernel without CONFIG_{self.excluded_by}" if self.excluded_by else "",
            f"{self.processors} processors" if self.processors > 1 else "",
        )
        return tuple(text for text in texts if text)

    def skip_reason(self, target: Target) -> str:
        """Return why the scenario cannot decide its claim on ``target``, or an empty string."""
        return (
            self._unfit_interface(target)
            or self._unfit_guest(target)
            or self._unfit_implementation(target)
            or self._unfit_provider(target)
        )

    def _unfit_interface(self, target: Target) -> str:
        if self.only in (None, target.implementation.interface):
            return ""
        return f"the claim is about the {self.only} interface only"

    def _unfit_guest(self, target: Target) -> str:
        if self.sanitizer is not None:
            detector = SANITIZERS[self.sanitizer].detector
            if target.config.get(detector) != "y":
                return f"this kernel has no {self.sanitizer}: CONFIG_{detector} is off"
        if self.excluded_by is not None and target.config.get(self.excluded_by) == "y":
            return f"CONFIG_{self.excluded_by} keeps this kernel out of the state that is needed"
        if target.processors < self.processors:
            return f"it takes {self.processors} processors: --smp {self.processors}"
        return ""

    def _unfit_implementation(self, target: Target) -> str:
        if self.sources and target.implementation.source() is None:
            return "the sources of this implementation are not available"
        if self.sources == "user" and target.implementation.verdicts_known:
            return "decided by running this implementation"
        if self.needs is not None and self.needs not in target.attributes:
            return missing_reason(self.needs, target)
        if self.counters and not target.settable_counters:
            return "this implementation does not keep its counters behind struct tsm_report"
        return ""

    def _unfit_provider(self, target: Target) -> str:
        if self.needs is not None and not target.shows(self.needs):
            return f"{target.provider} does not show {self.needs}"
        if self.filled is not None and not target.fills(self.filled):
            return f"the {self.filled} of {target.provider} is always empty"
        return ""


def missing_reason(name: AttributeName, target: Target) -> str:
    """Return why a scenario is skipped on an implementation without the attribute ``name``."""
    see = catalogue().interface_claim
    if target.lacks(name) and see:
        return f"needs {name}, which this implementation lacks: see {see}"
    return f"this implementation has no {name}"


def claim(  # noqa: PLR0913 - one keyword for each field of Scope
    ident: str,
    *,
    only: InterfaceKind | None = None,
    needs: AttributeName | None = None,
    filled: AttributeName | None = None,
    counters: bool = False,
    sources: Literal["any", "user"] | None = None,
    sanitizer: str | None = None,
    excluded_by: str | None = None,
    processors: int = 1,
    broken_by: tuple[str, ...] | None = None,
) -> pytest.MarkDecorator:
    """Mark a scenario as one that decides the claim ``ident``.

    The keywords are the fields of :class:`Scope`: where the scenario can decide the claim.
    """
    import pytest  # noqa: PLC0415 - the command line starts without it

    scope = Scope(
        only, needs, filled, counters, sources, sanitizer, excluded_by, processors, broken_by
    )
    return pytest.mark.claim(ident, scope=scope)


def expected_status(
    claim: Claim, scope: Scope, target: Target, got: Status | None = None
) -> Status:
    """Return the verdict that a correct harness gives on ``target``.

    An implementation of the user is expected to PASS; finding out whether it does is the purpose.
    If the design of its interface breaks the claim, it is expected to FAIL, but may also PASS:
    then ``got``, the verdict that was reached, is the expected one.
    """
    implementation = target.implementation
    if scope.skip_reason(target):
        return Status.SKIP
    if not implementation.verdicts_known:
        usual = Status.FAIL if breaks_by_design(claim, implementation) else Status.PASS
        return Status.PASS if got is Status.PASS else usual
    detected = noticed_defects(claim, scope)
    broken = (
        breaks_by_design(claim, implementation)
        or (implementation.name == "mainline" and claim.fails_on_mainline)
        or any(defect in detected for defect in implementation.defects)
    )
    return Status.FAIL if broken else Status.PASS


def noticed_defects(claim: Claim, scope: Scope) -> tuple[str, ...]:
    """Return the defects that a scenario of the claim notices, by name."""
    known = defects_breaking(claim.id) if scope.broken_by is None else scope.broken_by
    return tuple(sorted(known))


def breaks_by_design(claim: Claim, implementation: Implementation) -> bool:
    """Whether the design of its interface makes the implementation break the claim."""
    mended = set(implementation.defects) & set(claim.mended_by)
    return implementation.interface in claim.impossible_on and not mended
