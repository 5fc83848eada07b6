# SPDX-License-Identifier: MIT
"""``mutants``: checks that every claim notices its defects, and no others."""

from __future__ import annotations

from dataclasses import replace

import click
from rich.console import Console

from harness.claims.catalogue import catalogue, decidable_claims
from harness.cli import options
from harness.cli.decide import Workers, decide, exit_status_of
from harness.implementations.defects import EXPLORED_CLAIMS, all_defects, defects_of
from harness.report.mutants import print_mutants
from harness.settings import Settings

__all__ = ["mutants"]

_PROGRAMS = 300  # as many as `tsm-harness explore` runs


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
@options.settings(decides=True, tsms=_implementations, programs=_PROGRAMS)
@options.workers
def mutants(settings: Settings, workers: int) -> int:
    """Decide claims on every mutant, and on the fixed implementations.

    A mutant is a fixed implementation with one known defect. It must FAIL the claims that the
    defect breaks, and no other claim. --tsm selects the implementations. Without named claims it
    decides all but M1, M2 and M3, which exploration decides and which take longer: name them for
    the mutants that only exploration finds.
    """
    if not settings.claims:
        quick = (ident for ident in decidable_claims(()) if ident not in EXPLORED_CLAIMS)
        settings = replace(settings, claims=tuple(quick))
        options.refuse_unused(settings)
    outcome = decide(_without_unconcerned(settings), Workers(workers))
    print_mutants(outcome.results, _undecided(), Console(highlight=False))
    return exit_status_of(outcome)


def _without_unconcerned(settings: Settings) -> Settings:
    """Leave out the mutants that no selected scenario concerns: each needs a template on disk."""
    claims = decidable_claims(settings.claims)
    known = all_defects()
    unconcerned = {f"defect:{name}" for name in known if not any(map(known[name].concerns, claims))}
    kept = tuple(tsm for tsm in settings.tsms if tsm not in unconcerned)
    return replace(settings, tsms=kept)


def _undecided() -> dict[str, str]:
    """Return the defects whose claim no scenario decides, each with the reason."""
    claims = catalogue().claims
    named = {defect.name: claims.get(defect.claims[0]) for defect in all_defects().values()}
    return {name: claim.undecided for name, claim in named.items() if claim and claim.undecided}
