# SPDX-License-Identifier: MIT
"""What changed between two columns, as a page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.compare import Change, Comparison, Difference
from harness.report.compare_text import name_of
from harness.report.page.failures import Failures

__all__ = ["Changed", "Item", "changes_of"]

_LISTED = (Change.BROKEN, Change.FIXED, Change.STILL_FAILING, Change.UNSTABLE, Change.NOT_COMPARED)


@dataclass(frozen=True)
class Item:
    """One scenario: what was seen, and the anchors of its failures with their column."""

    name: str
    evidence: str
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Changed:
    """The scenarios of one change."""

    name: str
    items: tuple[Item, ...]


def changes_of(comparison: Comparison, failures: Failures) -> list[Changed]:
    """Return the changes that have scenarios, the most important first."""
    return [
        Changed(change.value, tuple(_item(each, members, failures) for each in members))
        for change in _LISTED
        if (members := comparison.of(change))
    ]


def _item(difference: Difference, members: list[Difference], failures: Failures) -> Item:
    links = []
    for when, results in (("before", difference.before), ("after", difference.after)):
        numbers = [n for result in results if (n := failures.number(result)) is not None]
        if numbers:
            links.append((f"f{numbers[0]}", when))
    return Item(name_of(difference, members), difference.evidence, tuple(links))
