# SPDX-License-Identifier: MIT
"""What a page shows of the recorded artifacts of a cell: cut, so that the page can be mailed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.oracle.printable import printable
from harness.oracle.records import parse_console
from harness.oracle.splats import Splat, find_splats
from harness.report.timeline_file import Timeline
from harness.report.timeline_grid import Grid, grid_of
from harness.verdict import CellResult

__all__ = ["Budget", "Evidence", "evidence_of"]

_MAX_LOG = 1 << 20  # bytes of the kernel log that are searched for splats
_MAX_SPLATS, _MAX_SPLAT = 2, 6000  # characters
_HEAD, _TAIL = 5000, 3000  # characters of another piece
# What SLUB prints of an object (print_section(), mm/slub.c).
_DUMP = re.compile(r"(?:Redzone|Object|Padding|Bytes b4) +[0-9a-f]{8,16}: ")


class Budget:
    """How many more characters of evidence have room in the page."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def take(self, characters: int) -> bool:
        """Use that many; False, and nothing is used, when there are fewer."""
        if characters > self._left:
            return False
        self._left -= characters
        return True


@dataclass(frozen=True)
class Evidence:
    """The evidence of one cell; ``pieces`` has further texts by heading.

    ``omitted``: there was more than the page has room for. ``lines`` is the timeline as text,
    if it was not recorded in a file.
    """

    grid: Grid = field(default_factory=Grid)
    lines: tuple[str, ...] = ()
    splats: tuple[str, ...] = ()
    pieces: tuple[tuple[str, str], ...] = ()
    omitted: bool = False


def evidence_of(result: CellResult, budget: Budget) -> Evidence:
    """Read the artifacts of a cell, as far as the budget allows."""
    directory = result.artifacts
    if directory is None:
        return Evidence(lines=result.timeline)
    grid = _grid(directory / "timeline.json")
    log = _read(directory / "kernel.log", _MAX_LOG)
    splats = tuple(_cut(_without_dumps(s.lines), _MAX_SPLAT, 0) for s in _splats_of(log))
    texts = (
        ("Kernel log", log),
        ("Messages of the provider port", _read(directory / "transcript.jsonl", _MAX_LOG)),
        ("Command line of QEMU", _read(directory / "qemu.txt", _MAX_LOG)),
    )
    pieces = tuple((heading, _cut(text, _HEAD, _TAIL)) for heading, text in texts if text.strip())
    size = sum(map(len, splats)) + sum(len(text) for _, text in pieces) + 150 * len(grid.rows)
    lines = () if grid.rows else result.timeline
    if not budget.take(size):
        return Evidence(lines=result.timeline, omitted=True)
    return Evidence(grid, lines, splats, pieces)


def _grid(path: Path) -> Grid:
    try:
        return grid_of(Timeline.from_json(path.read_bytes()))
    except (OSError, ValueError):
        return Grid()


def _splats_of(log: str) -> list[Splat]:
    found = find_splats(parse_console(log.encode()))
    return [splat for splat in found if not splat.outside_tsm][:_MAX_SPLATS]


def _without_dumps(lines: Iterable[str]) -> str:
    """Join the lines of a splat without the lines that only show memory."""
    kept: list[str] = []
    dumped = 0
    for line in [*lines, ""]:
        if _DUMP.match(line):
            dumped += 1
            continue
        if dumped:
            kept.append(f"[{dumped} lines of memory]")
        kept.append(line)
        dumped = 0
    return "\n".join(kept).rstrip()


def _read(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            return printable(file.read(limit).decode("utf-8", "replace"))
    except OSError:
        return ""


def _cut(text: str, head: int, tail: int) -> str:
    """Keep the start and the end of a text."""
    omitted = len(text) - head - tail
    if omitted <= 0:
        return text
    return f"{text[:head]}\n[{omitted} characters are left out here]\n{text[len(text) - tail :]}"
