# SPDX-License-Identifier: MIT
"""``sight``: does every scenario see the defect of its claim, and only that?"""

from __future__ import annotations

from dataclasses import replace

import click
from rich.console import Console

from harness.claims import catalogue
from harness.cli import options
from harness.cli.decide import Where, decide
from harness.implementations.spec import CLASS_DEFECTS, CONFIGFS_DEFECTS, DEFECTS
from harness.report.mutants import flaws, print_mutants
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED

__all__ = ["mutants"]

_CORES = (
    "class-fixed",
    *(f"defect:{name}" for name in CLASS_DEFECTS),
    "configfs-fixed",
    *(f"defect:{name}" for name in CONFIGFS_DEFECTS),
)


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.many_cells
@options.workers
@options.artifacts
def mutants(settings: Settings, workers: int) -> int:
    """Run claims on every defect alone, and on the cores that have none.

    A defect must fail the claims that it breaks, and no other; a scenario that stays silent is
    blind. --tsm narrows the cores.
    """
    if settings.tsms == Settings().tsms:
        settings = replace(settings, tsms=_CORES).check()
    outcome = decide(settings, Where(workers))
    print_mutants(outcome.results, _unseen(), Console(highlight=False))
    if outcome.interrupted or not outcome.results:
        return EXIT_NO_VERDICT
    return EXIT_UNEXPECTED if flaws(outcome.results) else EXIT_AS_EXPECTED


def _unseen() -> dict[str, str]:
    """The defects whose claim no scenario decides, and why."""
    claims = catalogue()
    return {
        defect: claims[claim].undecided
        for defect, claim in DEFECTS.items()
        if claim in claims and claims[claim].undecided
    }
