# SPDX-License-Identifier: MIT
"""Finds the installed claims, and looks them up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, cached_property
from importlib.metadata import entry_points
from pathlib import Path

from harness.claims.model import Claim
from harness.errors import HostError, UsageError
from harness.verdict import ClaimSummary

__all__ = [
    "Catalogue",
    "catalogue",
    "claim_summaries",
    "decidable_claims",
    "find_claims",
    "select_claims",
    "undecided_claims",
]

_GROUP = "tsm_harness.catalogue"
_SIMILARITY = 0.5  # of 1: one of two characters is equal


@dataclass(frozen=True)
class Catalogue:
    """Claims by id, in the order of a run report, and the directory of their scenarios.

    ``interface_claim`` is the claim that an implementation offers its interface with the
    attributes that every scenario may use. Where it does not, the other scenarios are skipped.
    """

    claims: Mapping[str, Claim]
    directory: Path
    interface_claim: str = ""

    @cached_property
    def ids_by_upper_case(self) -> Mapping[str, str]:
        """The ids of the claims by the same in upper case."""
        return {ident.upper(): ident for ident in self.claims}


@cache
def catalogue() -> Catalogue:
    """Return the installed catalogue.

    Raises :class:`HostError` unless exactly one package has the entry point.
    """
    found = entry_points(group=_GROUP)
    if len(found) != 1:
        values = ", ".join(point.value for point in found) or "none"
        raise HostError(
            f"one package must provide the claims (entry point {_GROUP}); found: {values}",
            hint="reinstall this package: `make setup`",
        )
    [point] = found
    loaded = point.load()
    if not isinstance(loaded, Catalogue):
        raise HostError(f"{point.value} is not a harness.claims.Catalogue")
    return loaded


def undecided_claims() -> dict[str, str]:
    """Return the claims that no scenario decides, each with the reason."""
    return {claim.id: claim.undecided for claim in catalogue().claims.values() if claim.undecided}


def claim_summaries(idents: Iterable[str]) -> dict[str, ClaimSummary]:
    """Return what a run report says of the claims with these ids, in the catalogue's order."""
    wanted = set(idents)
    return {
        claim.id: ClaimSummary(claim.demand, claim.raised_by, claim.link)
        for claim in catalogue().claims.values()
        if claim.id in wanted
    }


def decidable_claims(idents: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of :func:`select_claims`, without the undecided claims."""
    return tuple(claim.id for claim in select_claims(idents) if not claim.undecided)


def select_claims(idents: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims with these ids (in any case), or all claims if there are no ids.

    Raises :class:`UsageError` for an unknown id, and for a claim that no scenario decides.
    """
    named = list(idents)
    found = find_claims(named)
    for each in found if named else ():
        if each.undecided:
            raise UsageError(f"no scenario decides {each.id}: {each.undecided}")
    return found


def find_claims(idents: Iterable[str]) -> tuple[Claim, ...]:
    """Return the claims with these ids (in any case), or all claims if there are no ids.

    Raises :class:`UsageError` for an unknown id; the hint names the ids that resemble it.
    """
    known = catalogue().claims
    by_upper = catalogue().ids_by_upper_case
    wanted = [by_upper.get(ident.upper(), ident) for ident in idents]
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise UsageError(f"unknown claim: {', '.join(unknown)}", hint=_similar(unknown, by_upper))
    return tuple(item for item in known.values() if not wanted or item.id in wanted)


def _similar(unknown: Iterable[str], by_upper: Mapping[str, str]) -> str:
    similar: dict[str, None] = {}
    for ident in unknown:
        for found in get_close_matches(ident.upper(), by_upper, cutoff=_SIMILARITY):
            similar[by_upper[found]] = None
    question = f"did you mean {' or '.join(similar)}? " if similar else ""
    return f"{question}`tsm-harness claims` lists the claims"
