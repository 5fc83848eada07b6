# SPDX-License-Identifier: MIT
"""The timeline of one cell as a page of its own: the file ``timeline.html`` of the artifacts."""

from __future__ import annotations

from harness.report.page.environment import render
from harness.report.timeline_file import Timeline
from harness.report.timeline_grid import grid_of
from harness.verdict import Cell

__all__ = ["timeline_page"]


def timeline_page(cell: Cell, timeline: Timeline) -> bytes:
    """Return the page; empty without events."""
    return render("timeline.html.j2", cell=cell, grid=grid_of(timeline)) if timeline else b""
