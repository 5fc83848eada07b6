# SPDX-License-Identifier: MIT
"""Reads the hunks of a unified diff, and joins lines that a mail program wrapped."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.mail.repairs import replace_spaces

__all__ = ["Hunks", "read_hunks"]

_HEADER = re.compile(r"@@ -(\d{1,7})(?:,(\d{1,7}))? \+(\d{1,7})(?:,(\d{1,7}))? @@(.*)")
_CONTINUED = (",", "(", "&&")  # ends of lines that a mail program may have wrapped
_NEXT_PART = (
    ">", "diff --", "--- ", "@@ ", "From ", "-- ", "index ", "Index: ", "Subject: ", "```", "# HG ",
)  # fmt: skip
_BLANKS = "ignored blank lines between added lines"
_JOINED = "joined wrapped lines"
_SPACES = "replaced non-breaking spaces"


@dataclass
class Hunks:
    """``lines`` as ``git apply`` takes them; ``end`` is the number of the line after them.

    ``damage`` says what is wrong with a hunk that is incomplete, or is empty.
    """

    end: int
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    damage: str = ""

    def add_note(self, note: str) -> None:
        """Record a repair, once."""
        if note not in self.notes:
            self.notes.append(note)


def read_hunks(lines: Sequence[str], at: int) -> Hunks:
    """Read the hunks that begin at ``lines[at]``."""
    hunks = Hunks(at)
    while hunks.end < len(lines) and lines[hunks.end].startswith("@@ ") and not hunks.damage:
        header = _HEADER.fullmatch(lines[hunks.end])
        counts = (
            [1 if count is None else int(count) for count in header.group(2, 4)] if header else []
        )
        if header is None or not any(counts):
            hunks.damage = f"the head of a hunk is wrong: {lines[hunks.end][:80]}"
            break
        hunks.lines.append(lines[hunks.end].rstrip())
        hunks.end += 1
        _read_body(lines, hunks, *counts)
    if not hunks.lines and not hunks.damage:
        hunks.damage = "it has no hunk"
    following = lines[hunks.end] if hunks.end < len(lines) else ""
    if following.startswith("+") and not following.startswith("+++ ") and not hunks.damage:
        hunks.damage = f"more lines follow than a hunk announces: {following[:80]}"
    return hunks


def _read_body(lines: Sequence[str], hunks: Hunks, old: int, new: int) -> None:
    """Read a hunk's ``old`` and ``new`` lines."""
    body: list[str] = []
    head = hunks.lines[-1]
    while old or new:
        if hunks.end >= len(lines):
            hunks.damage = f"a hunk is cut off: {head[:80]}"
            return
        line = replace_spaces(lines[hunks.end])
        if line != lines[hunks.end]:
            hunks.add_note(_SPACES)
        sign = line[:1] or " "
        if (sign == "+" and new) or (sign == "-" and old) or (sign == " " and old and new):
            old, new = old - (sign != "+"), new - (sign != "-")
            body.append(line or " ")
        elif sign == "\\" and body:
            body.append(line)
        elif not _repair(line, body, hunks):
            hunks.damage = f"a hunk ends early: {head[:80]}"
            return
        hunks.end += 1
    if not any(line.startswith(("+", "-")) for line in body):
        hunks.damage = f"a hunk changes nothing: {head[:80]}"
    _read_tail(lines, hunks, body)
    hunks.lines += body


def _repair(line: str, body: list[str], hunks: Hunks) -> bool:
    """Join a line that has no place in the hunk to the one before; False when that is wrong."""
    if line.startswith(_NEXT_PART):
        return False
    if not line.strip():
        hunks.add_note(_BLANKS)
        return True
    if body:
        body[-1] = f"{body[-1].rstrip()} {line.strip()}"
    elif line[0] in "+-":
        return False
    else:
        hunks.lines[-1] += f" {line.strip()}"  # the rest of the hunk's head
    hunks.add_note(_JOINED)
    return True


def _read_tail(lines: Sequence[str], hunks: Hunks, body: list[str]) -> None:
    """Read what belongs to the last line of a hunk: its missing line feed, its wrapped rest."""
    line = lines[hunks.end] if hunks.end < len(lines) else ""
    if line.startswith("\\ "):
        body.append(line)
        hunks.end += 1
        return
    wrapped = body and body[-1].rstrip().endswith(_CONTINUED) and line.strip()
    if wrapped and line[0] not in "+-@ \\" and not line.startswith(_NEXT_PART):
        body[-1] = f"{body[-1].rstrip()} {line.strip()}"
        hunks.add_note(_JOINED)
        hunks.end += 1
