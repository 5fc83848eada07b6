# SPDX-License-Identifier: MIT
"""Exploration of the whole interface, in bounded time: M1, M2, M3."""

from __future__ import annotations

from harness.claims import claim
from harness.plugin.exploration import CellExplorer


@claim("M1")
def test_every_sequence_has_a_documented_outcome(explorer: CellExplorer) -> None:
    explorer.demand_no_finding("behaviour")


@claim("M2")
def test_nothing_is_kept(explorer: CellExplorer) -> None:
    explorer.demand_no_finding("kept")


@claim("M3")
def test_every_call_returns(explorer: CellExplorer) -> None:
    explorer.demand_no_finding("progress")
