# SPDX-License-Identifier: MIT
"""Predicts the status of an item from its claim and from what it runs on."""

from __future__ import annotations

import pytest

from harness.claims.catalogue import catalogue
from harness.claims.scope import breaks_by_design, expected_status, missing_reason
from harness.claims.target import (
    Target,
    counters_follow_report,
)
from harness.errors import ClaimViolatedError, MissingAttributeError
from harness.implementations.model import Implementation
from harness.interface.names import ATTRIBUTE_NAMES
from harness.offered import attributes_of
from harness.plugin.cells import axes_of, claim_of
from harness.plugin.options import SETTINGS
from harness.plugin.stash import SESSION
from harness.verdict import Status

__all__ = [
    "design_note",
    "expected_of",
    "skip_out_of_scope",
    "skip_without",
    "without_interface",
]

_LACKING = pytest.StashKey[bool]()
_TARGETS = pytest.StashKey[dict[tuple[str, str, str], Target]]()


def expected_of(item: pytest.Item, got: Status | None = None) -> Status:
    """Return the status that a correct harness gives for this item; ``got`` is that of the run."""
    if got is Status.SKIP and item.stash.get(_LACKING, False):
        return Status.SKIP
    return expected_status(*claim_of(item), _target_of(item), got)


def design_note(item: pytest.Item) -> str:
    """Return why the design of the interface breaks the item's claim, or an empty string."""
    claim, implementation = claim_of(item)[0], _target_of(item).implementation
    if not breaks_by_design(claim, implementation):
        return ""
    return (
        f"the {implementation.interface} interface cannot meet {claim.id}: {claim.why_impossible}"
    )


def skip_out_of_scope(item: pytest.Item) -> None:
    """Skip the item if its scenario cannot decide the claim here."""
    reason = claim_of(item)[1].skip_reason(_target_of(item))
    if reason:
        pytest.skip(reason)


def skip_without(item: pytest.Item, error: MissingAttributeError) -> BaseException:
    """Return the SKIP of a scenario that used an attribute which the guest lacks.

    It is as expected if the implementation has no such attribute at all: one claim is about that.
    """
    target = _target_of(item)
    name = next(each for each in ATTRIBUTE_NAMES if each == error.attribute)
    if not target.lacks(name):
        return pytest.skip.Exception(f"the scope of the scenario did not predict it: {error}")
    item.stash[_LACKING] = True
    return pytest.skip.Exception(missing_reason(name, target))


def without_interface(item: pytest.Item, error: Exception) -> BaseException:
    """Return the error of a scenario that found no interface to start with.

    It is ``error``, a FAIL, for the claim that is about that. Every other scenario is skipped.
    """
    about = catalogue().interface_claim
    if about in ("", claim_of(item)[0].id):
        return ClaimViolatedError(str(error))
    return pytest.skip.Exception(f"there is no interface to test: see {about}")


def _target_of(item: pytest.Item) -> Target:
    config, axes = item.config, axes_of(item)
    targets = config.stash.setdefault(_TARGETS, {})
    key = (axes.kernel, axes.tsm, axes.provider)
    if key not in targets:
        session = config.stash[SESSION]
        implementation = session.known_implementation(axes.kernel, axes.tsm)
        targets[key] = Target(
            implementation=implementation,
            attributes=attributes_of(session, axes.kernel, axes.tsm),
            settable_counters=_settable_counters(implementation),
            provider=axes.provider,
            config=session.config(axes.kernel),
            processors=config.stash[SETTINGS].smp,
        )
    return targets[key]


def _settable_counters(implementation: Implementation) -> bool:
    sources = (text for _, text in implementation.files)
    return implementation.verdicts_known or counters_follow_report(sources)
