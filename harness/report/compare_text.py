# SPDX-License-Identifier: MIT
"""A comparison of two columns as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.oracle.printable import printable
from harness.report.compare import Change, Comparison, Difference

__all__ = ["claims_of", "comparison_lines", "counted", "name_of"]

_MAX_LINE = 300  # characters of the evidence
_LISTED = (Change.FIXED, Change.BROKEN, Change.UNSTABLE, Change.STILL_FAILING, Change.NOT_COMPARED)
_ALWAYS_COUNTED = (Change.FIXED, Change.BROKEN, Change.STILL_FAILING, Change.UNCHANGED)


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return the answer in a line, then the scenarios of each change with what was seen."""
    lines = [counted(comparison)]
    for change in _LISTED:
        members = comparison.of(change)
        if members:
            lines.append(f"  {change.value}: {claims_of(members)}")
            lines += [f"    {line}" for line in _evidence(members)]
    return [printable(line) for line in lines]


def counted(comparison: Comparison) -> str:
    """Return what was compared, and how many scenarios have each change."""
    pair, counts = comparison.pair, comparison.counts
    base = "its base " if pair.is_base else ""
    numbers = ", ".join(
        f"{counts[change]} {change.value}"
        for change in (*_ALWAYS_COUNTED, Change.UNSTABLE, Change.NOT_COMPARED)
        if counts[change] or change in _ALWAYS_COUNTED
    )
    return f"{pair.after} against {base}{pair.before}: {numbers}"


def claims_of(differences: Sequence[Difference]) -> str:
    """Return the claims, each once, in the order of the run."""
    return ", ".join(dict.fromkeys(each.claim for each in differences))


def name_of(difference: Difference, members: Sequence[Difference]) -> str:
    """Return a name that is unique among ``members``: claim, scenario, and the axes they need."""
    name = f"{difference.claim} {difference.scenario}"
    several = len({each.where for each in members}) > 1
    return f"{name} [{', '.join(difference.where)}]" if several else name


def _evidence(members: Sequence[Difference]) -> Iterator[str]:
    """Yield a line for each scenario; one for all that have the same evidence."""
    groups: dict[str, list[Difference]] = {}
    for each in members:
        groups.setdefault(each.evidence, []).append(each)
    for text, same in groups.items():
        several = f"{claims_of(same)} ({len(same)} scenarios)"
        name = name_of(same[0], members) if len(same) == 1 else several
        yield f"{name}: {text}"[:_MAX_LINE]
