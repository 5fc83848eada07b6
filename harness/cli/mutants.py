# SPDX-License-Identifier: MIT
"""``sight``: does every scenario see the defect of its claim, and only that?"""

from __future__ import annotations

from dataclasses import replace

import click
from rich.console import Console

from harness.claims import catalogue
from harness.cli import options
from harness.cli.decide import Where, decide
from harness.implementations.defects import all_defects, defects_of
from harness.report.mutants import flaws, print_mutants
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED

__all__ = ["mutants"]


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
        settings = replace(settings, tsms=_implementations()).check()
    outcome = decide(settings, Where(workers))
    print_mutants(outcome.results, _unseen(), Console(highlight=False))
    if outcome.interrupted or not outcome.results:
        return EXIT_NO_VERDICT
    return EXIT_UNEXPECTED if flaws(outcome.results) else EXIT_AS_EXPECTED


def _implementations() -> tuple[str, ...]:
    """Each fixed implementation, followed by its mutants."""
    return (
        "class-fixed",
        *(f"defect:{name}" for name in defects_of("class")),
        "configfs-fixed",
        *(f"defect:{name}" for name in defects_of("configfs")),
    )


def _unseen() -> dict[str, str]:
    """The defects whose claim no scenario decides, and why."""
    claims = catalogue()
    return {
        defect.name: claims[defect.claims[0]].undecided
        for defect in all_defects().values()
        if claims[defect.claims[0]].undecided
    }
