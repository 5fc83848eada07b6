# SPDX-License-Identifier: MIT
"""Verdicts of a run, from its journal, its report and its terminal, and how they must agree."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = [
    "Key",
    "Verdict",
    "count_shown",
    "journal_verdicts",
    "lost_verdicts",
    "report_verdicts",
    "wrong_verdicts",
]

Key = tuple[str, str, str]  # claim, scenario, implementation
_NO_VERDICT = ("ERROR", "MISS")


@dataclass(frozen=True)
class Verdict:
    """The status of a cell; ``expected`` is that of the catalogue, ``detail`` what was seen."""

    key: Key
    status: str
    expected: str
    detail: str

    @property
    def is_decided(self) -> bool:
        """Whether this is a verdict on the implementation."""
        return self.status not in _NO_VERDICT


def _verdict(cell: Mapping[str, Any]) -> Verdict:
    # `dir:PATH` differs from trial to trial by its path.
    key = (cell["claim"], cell["scenario"], cell["tsm"].partition(":")[0])
    return Verdict(key, cell["status"], cell["expected"], cell["detail"])


def journal_verdicts(results: Path) -> list[Verdict]:
    """Return every verdict of the newest journal below ``results``, also those replaced later."""
    found = []
    for path in sorted((results / "journal").glob("*.jsonl"))[-1:]:
        for line in path.read_bytes().split(b"\n"):
            with contextlib.suppress(ValueError, KeyError):
                found.append(_verdict(json.loads(line)["result"]))
    return found


def report_verdicts(report: Path) -> list[Verdict]:
    """Return the verdicts of a JSON report; none if the run has not written it."""
    if not report.exists():
        return []
    return [_verdict(cell) for cell in json.loads(report.read_bytes())["cells"]]


def count_shown(output: str) -> int:
    """Return how many verdicts the progress bar has counted at most."""
    counts = re.findall(r"deciding[^\r\n]*?(\d+)/\d+", output)
    return max(map(int, counts), default=0)


def wrong_verdicts(verdicts: Iterable[Verdict], known: Mapping[Key, str]) -> list[str]:
    """Describe each verdict that differs from the known one, or is of an unknown cell."""
    return [
        f"{' '.join(each.key)}: {each.status}, known is {known.get(each.key)}: {each.detail[:300]}"
        for each in verdicts
        if each.is_decided and each.status != known.get(each.key)
    ]


def lost_verdicts(before: Sequence[Verdict], after: Sequence[Verdict]) -> list[str]:
    """Describe each cell whose last verdict in ``before`` is not a verdict of ``after``."""
    last = {each.key: each.status for each in before if each.is_decided}
    kept = {(each.key, each.status) for each in after}
    return [
        f"{' '.join(key)}: {status}" for key, status in last.items() if (key, status) not in kept
    ]
