# SPDX-License-Identifier: MIT
"""Spreads every scenario over kernels, cores, providers and repetitions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import pytest

from harness.claims.catalogue import catalogue, select_claims
from harness.claims.model import Claim
from harness.claims.scope import Scope, expected_status
from harness.implementations.spec import parse_implementation
from harness.plugin.options import SETTINGS
from harness.settings import Settings
from harness.verdict import Status

__all__ = ["Axes", "axes_of", "claim_of"]


@dataclass(frozen=True)
class Axes:
    """Where one scenario runs; ``repetition`` counts from 0."""

    kernel: str
    tsm: str
    provider: str
    repetition: int = 0


def _all_axes(settings: Settings) -> list[Axes]:
    found = product(settings.kernels, settings.tsms, settings.providers, range(settings.times))
    return [Axes(*values) for values in found]


def _ident(axes: Axes) -> str:
    parts = [axes.kernel.rpartition("/")[2], axes.tsm, axes.provider]
    return "-".join([*parts, str(axes.repetition)] if axes.repetition else parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a scenario once per kernel, core, provider and repetition.

    A test that decides no claim, of a program that uses the interface, runs on the kernel's own
    core if no other is asked for.
    """
    if "axes" not in metafunc.fixturenames:
        return
    settings = metafunc.config.stash[SETTINGS]
    if not metafunc.definition.get_closest_marker("claim") and not metafunc.config.option.tsm:
        settings = replace(settings, tsms=("mainline",))
    axes = _all_axes(settings)
    metafunc.parametrize("axes", axes, ids=[_ident(one) for one in axes])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let ``-k`` select scenarios by their claim."""
    mark = item.get_closest_marker("claim")
    if mark is not None:
        item.extra_keyword_matches.add(str(mark.args[0]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the claims asked for, and the cells of one core together."""
    settings = config.stash[SETTINGS]
    wanted = {claim.id for claim in select_claims(settings.claims)}
    order = {axes: index for index, axes in enumerate(_all_axes(settings))}
    claims = list(catalogue().claims)
    scenarios = [item for item in items if item.get_closest_marker("claim")]
    dropped = [item for item in scenarios if claim_of(item)[0].id not in wanted]
    kept = [item for item in items if item not in dropped]

    def place(item: pytest.Item) -> tuple[int, int]:
        if not item.get_closest_marker("claim"):
            return (-1, 0)
        return (order[axes_of(item)], claims.index(claim_of(item)[0].id))

    config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(kept, key=place)


def claim_of(item: pytest.Item) -> tuple[Claim, Scope]:
    """The claim a scenario decides, and where it has something to decide."""
    mark = item.get_closest_marker("claim")
    assert mark is not None
    return catalogue().claims[mark.args[0]], mark.kwargs.get("scope", Scope())


def axes_of(item: pytest.Item) -> Axes:
    """Where this item runs."""
    callspec = getattr(item, "callspec", None)
    axes = callspec.params.get("axes") if callspec is not None else None
    assert isinstance(axes, Axes), "a scenario asks for a guest, which has axes"
    return axes


def expected_of(item: pytest.Item, config: Mapping[str, str]) -> Status:
    """The verdict expected of this item, on a kernel of this configuration."""
    claim, scope = claim_of(item)
    axes = axes_of(item)
    return expected_status(claim, parse_implementation(axes.tsm), axes.provider, scope, config)
