# SPDX-License-Identifier: MIT
"""Predicts the status of an item from its claim and from what it runs on."""

from __future__ import annotations

import pytest

from harness.claims.scope import breaks_by_design, expected_status
from harness.claims.target import (
    Target,
    attributes_in_module,
    counters_follow_report,
    offered_attributes,
)
from harness.errors import TsmHarnessError
from harness.implementations.spec import parse_implementation
from harness.interface.names import AttributeName
from harness.plugin.cells import axes_of, claim_of
from harness.plugin.options import SETTINGS
from harness.plugin.stash import SESSION
from harness.session import Session
from harness.verdict import Status

__all__ = ["design_note", "expected_of", "skip_out_of_scope"]

_NEWEST = (99, 0)
_TARGETS = pytest.StashKey[dict[tuple[str, str, str], Target]]()


def expected_of(item: pytest.Item, got: Status | None = None) -> Status:
    """Return the status that a correct harness gives for this item; ``got`` is that of the run."""
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


def _target_of(item: pytest.Item) -> Target:
    config, axes = item.config, axes_of(item)
    targets = config.stash.setdefault(_TARGETS, {})
    key = (axes.kernel, axes.tsm, axes.provider)
    if key not in targets:
        session = config.stash[SESSION]
        targets[key] = Target(
            implementation=parse_implementation(axes.tsm),
            attributes=_attributes(session, axes.kernel, axes.tsm),
            settable_counters=_settable_counters(axes.tsm),
            provider=axes.provider,
            config=session.config(axes.kernel),
            processors=config.stash[SETTINGS].smp,
        )
    return targets[key]


def _attributes(session: Session, kernel_spec: str, tsm: str) -> frozenset[AttributeName]:
    """Return what the implementation can offer; all of its interface if it cannot be built."""
    implementation = parse_implementation(tsm)
    try:
        kernel = session.kernel(kernel_spec)
        attributes = offered_attributes(implementation, kernel.version)
        if implementation.verdicts_known or session.preparation_failure(kernel_spec, tsm):
            return attributes
        [module] = session.build(kernel_spec, tsm).modules
        return attributes & attributes_in_module(module.content)
    except TsmHarnessError:  # the guest, which needs the same, will raise it
        return offered_attributes(implementation, _NEWEST)


def _settable_counters(tsm: str) -> bool:
    implementation = parse_implementation(tsm)
    sources = (text for _, text in implementation.files)
    return implementation.verdicts_known or counters_follow_report(sources)
