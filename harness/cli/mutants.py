# SPDX-License-Identifier: MIT
"""``mutants``: checks that every claim notices its defects, and no others."""

from __future__ import annotations

import click
from rich.console import Console

from harness.claims.catalogue import catalogue
from harness.cli import options
from harness.cli.decide import Where, decide
from harness.implementations.defects import all_defects, defects_of
from harness.report.mutants import flaws, print_mutants
from harness.settings import Settings
from harness.verdict import EXIT_AS_EXPECTED, EXIT_NO_VERDICT, EXIT_UNEXPECTED

__all__ = ["mutants"]


def _implementations() -> tuple[str, ...]:
    """Each fixed implementation, followed by its mutants."""
    return (
        "class-fixed",
        *(f"defect:{name}" for name in defects_of("class")),
        "configfs-fixed",
        *(f"defect:{name}" for name in defects_of("configfs")),
    )


@click.command()
@click.argument("claims", nargs=-1, metavar="[CLAIM]...")
@options.settings(decides=True, tsms=_implementations)
@options.workers
def mutants(settings: Settings, workers: int) -> int:
    """Decide claims on every mutant, and on the fixed implementations.

    A mutant is a fixed implementation with one known defect. It must FAIL the claims that the
    defect breaks, and no other claim. --tsm selects the implementations.
    """
    outcome = decide(settings, Where(workers))
    print_mutants(outcome.results, _unseen(), Console(highlight=False))
    if outcome.interrupted or not outcome.results:
        return EXIT_NO_VERDICT
    return EXIT_UNEXPECTED if flaws(outcome.results) else EXIT_AS_EXPECTED


def _unseen() -> dict[str, str]:
    """Return the defects whose claim no scenario decides, each with the reason."""
    claims = catalogue().claims
    return {
        defect.name: claims[defect.claims[0]].undecided
        for defect in all_defects().values()
        if claims[defect.claims[0]].undecided
    }
