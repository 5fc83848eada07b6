# SPDX-License-Identifier: MIT
"""What a run report says of one result: the demand, who raised it, what was seen, the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.oracle.printable import printable
from harness.verdict import CellResult, ClaimSummary, Status

__all__ = ["explanation", "origin", "shortened"]

_INDENT = "  "


def origin(claim: ClaimSummary) -> str:
    """Return who raised a claim, and where if that is known."""
    return claim.raised_by + (f", {claim.link}" if claim.link else "")


def explanation(
    result: CellResult, claims: Mapping[str, ClaimSummary], *, limit: int | None = None
) -> list[str]:
    """Return the lines that explain a result, the demand first; deeper lines are indented.

    ``claims`` describes the claims by id; a claim that it lacks has no demand, and an ERROR or MISS
    says nothing about it. At most ``limit``
    lines of the detail are shown.
    """
    lines: list[str] = []
    claim = claims.get(result.cell.claim)
    if claim is not None and result.status not in (Status.ERROR, Status.MISS):
        lines += [f"demand: {claim.demand}", f"{_INDENT}from: {origin(claim)}"]
    seen = printable(result.detail).splitlines()
    if seen:
        first, *others = shortened(seen, limit)
        label = "seen: " if result.status is Status.FAIL else ""
        lines += [label + first, *(f"{_INDENT * bool(label)}{line}" for line in others)]
    if result.source is not None:
        lines.append(f"source: {printable(result.source.place)}")
        lines += [f"{_INDENT}{printable(line)}" for line in result.source.marked()]
    return lines


def shortened(lines: Sequence[str], limit: int | None) -> list[str]:
    """Return at most ``limit`` lines and a note: the first and the last half of them."""
    if limit is None or len(lines) <= limit:
        return list(lines)
    head = (limit + 1) // 2
    tail = limit - head
    note = f"[{len(lines) - limit} lines left out; verdict.json in the recorded directory has all]"
    return [*lines[:head], note, *lines[len(lines) - tail :]]
