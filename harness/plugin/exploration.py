# SPDX-License-Identifier: MIT
"""The fixture of scenarios that explore the whole interface."""

from __future__ import annotations

import pytest

from harness.errors import ClaimViolatedError
from harness.explore.explore import Budget, Finding, explore
from harness.explore.explorer import Explorer
from harness.explore.show import text_lines, title
from harness.explore.systematic import Part
from harness.model.steps import Program
from harness.plugin.cells import Axes
from harness.plugin.prediction import skip_out_of_scope
from harness.plugin.stash import SESSION
from harness.settings import Settings

__all__ = ["CellExplorer"]

_COST: dict[Part, int] = {"behaviour": 1, "progress": 2, "kept": 3}
"""How much more time a program of the part takes."""

_FEWEST = 3
_SHRINKING: dict[Part, int] = {"behaviour": 12, "progress": 1, "kept": 2}
"""Runs; `tsm-harness explore` takes more. A call that does not return takes seconds in each."""
_REPEATS = 1


class CellExplorer:
    """Explores the implementation of one cell; each program runs in a pristine guest."""

    def __init__(self, explorer: Explorer, programs: int) -> None:
        self._explorer = explorer
        self._programs = programs

    def demand_no_finding(self, part: Part) -> None:
        """Explore one part within the cell's budget.

        Raises :class:`ClaimViolatedError` with the shortest program that disagrees.
        """
        programs = max(-(-self._programs // _COST[part]), _FEWEST)
        budget = Budget(programs=programs, findings=1, shrinking=_SHRINKING[part], repeats=_REPEATS)
        found = explore(self._explorer, part, budget)
        for finding in found.findings:
            raise ClaimViolatedError(self._text(finding), subject=repr(finding.signature))

    def demand_as_documented(self, program: Program) -> None:
        """Run one program; raises :class:`ClaimViolatedError` when it disagrees with the model."""
        trial = self._explorer.run(program)
        if trial.comparison.disagreement is not None:
            finding = Finding(trial, 1, 1, self._explorer.deviations)
            raise ClaimViolatedError(self._text(finding), subject=repr(finding.signature))

    def _text(self, finding: Finding) -> str:
        version = self._explorer.detect()
        step = finding.disagreement.step.text
        first = f"the model does not allow this ({title(finding)}): {step}"
        return "\n".join([first, *text_lines(finding, version)])


@pytest.fixture
def explorer(request: pytest.FixtureRequest, axes: Axes, tsm_settings: Settings) -> CellExplorer:
    """Explores the implementation under test."""
    skip_out_of_scope(request.node)
    session = request.config.stash[SESSION]
    made = Explorer(session, axes.kernel, axes.tsm, tsm_settings.seed + axes.repetition)
    return CellExplorer(made, tsm_settings.programs)
