# SPDX-License-Identifier: MIT
"""The table of figures: what was tried, and what went wrong."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Figures", "Row", "error_text"]

_LONGEST = 110  # characters of an error's text


@dataclass
class Row:
    """The figures of one kind of fault; :meth:`add` sums two rows.

    ``wrong`` counts verdicts that are neither MISS nor ERROR and differ from the known one,
    ``left`` processes, files and sockets that a run left behind, and ``lost`` verdicts that were
    shown, reported or in the journal, and were missing later.
    """

    tries: int = 0
    verdicts: int = 0
    wrong: int = 0
    left: int = 0
    lost: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def add(self, other: Row) -> None:
        """Add the figures of ``other``."""
        for name in ("tries", "verdicts", "wrong", "left", "lost"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.errors += other.errors
        self.details += other.details

    @property
    def is_good(self) -> bool:
        """Whether nothing happened that must never happen, and no trial failed itself."""
        return self.wrong == self.left == self.lost == 0 and not self.details


class Figures:
    """One row for each kind, in the order of the first trial."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}

    def add(self, kind: str, row: Row) -> None:
        """Add the figures of one trial."""
        self.rows.setdefault(kind, Row()).add(row)

    @property
    def total(self) -> Row:
        """The sum of all rows."""
        total = Row()
        for row in self.rows.values():
            total.add(row)
        return total

    def table(self) -> str:
        """Return the figures as a table in Markdown, and the errors by text."""
        lines = ["| kind | tries | verdicts | wrong | left behind | lost | errors |"]
        lines.append("|---|---:|---:|---:|---:|---:|---:|")
        for name, row in [*sorted(self.rows.items()), ("all", self.total)]:
            cells = (row.tries, row.verdicts, row.wrong, row.left, row.lost, row.errors.total())
            lines.append(f"| {name} | {' | '.join(map(str, cells))} |")
        texts = sorted(self.total.errors.items(), key=lambda item: (-item[1], item[0]))
        lines += ["", "Errors by text:", *(f"{count:5} x {text}" for text, count in texts)]
        if self.total.details:
            lines += ["", "What must not happen:", *self.total.details]
        return "\n".join(lines)


def error_text(text: str) -> str:
    """Return the first line of an error without paths and numbers, so that equal ones are one."""
    line = (text.strip().splitlines() or ["no text"])[0]
    line = re.sub(r"(?<![\w-])/[\w./:+-]+", "PATH", line)
    return re.sub(r"\b(0x)?[0-9a-f]*\d[0-9a-f.]*\b", "N", line)[:_LONGEST]
