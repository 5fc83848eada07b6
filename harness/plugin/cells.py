# SPDX-License-Identifier: MIT
"""Runs every scenario on each kernel, implementation, provider and repetition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import pytest

from harness.claims.catalogue import catalogue
from harness.claims.model import Claim
from harness.claims.scope import Scope
from harness.implementations.defects import EXPLORED_CLAIMS
from harness.plugin.options import SETTINGS
from harness.prepare import WorkerContext
from harness.settings import Settings

__all__ = ["Axes", "axes_of", "claim_of"]


@dataclass(frozen=True)
class Axes:
    """The parameters of one run of a scenario; ``repetition`` counts from 0."""

    kernel: str
    tsm: str
    provider: str
    repetition: int = 0

    def __str__(self) -> str:
        """The part of the item's name in square brackets."""
        parts = [self.kernel.rpartition("/")[2], self.tsm, self.provider]
        return "-".join([*parts, str(self.repetition)] if self.repetition else parts)


def _all_axes(settings: Settings) -> list[Axes]:
    values = product(settings.kernels, settings.tsms, settings.providers, range(settings.times))
    return [Axes(*each) for each in values]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize every test that needs a guest.

    A test without a claim tries a program that uses the interface. It runs on the kernel's own
    implementation unless the command line names another one.
    """
    if "axes" not in metafunc.fixturenames:
        return
    settings = metafunc.config.stash[SETTINGS]
    if not metafunc.definition.get_closest_marker("claim") and not metafunc.config.option.tsm:
        settings = replace(settings, tsms=("mainline",))
    metafunc.parametrize("axes", _all_axes(settings), ids=str)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let ``-k`` select scenarios by their claim."""
    mark = item.get_closest_marker("claim")
    if mark is not None:
        item.extra_keyword_matches.add(str(mark.args[0]))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Drop the cells that the settings do not select; group the rest by implementation."""
    settings = config.stash[SETTINGS]
    order = {axes: index for index, axes in enumerate(_all_axes(settings))}
    # Workers begin with the long cells, so that short ones fill the gaps at the end.
    claims = sorted(catalogue().claims, key=lambda ident: ident not in EXPLORED_CLAIMS)
    scenarios = [item for item in items if item.get_closest_marker("claim")]
    worker = WorkerContext.from_argument(config.option.tsm_worker)
    elsewhere = worker.nodes_left_out() if worker else frozenset()
    dropped = [
        item
        for item in scenarios
        if item.nodeid in elsewhere or not settings.selects(claim_of(item)[0].id, axes_of(item).tsm)
    ]
    left_out = set(dropped)
    kept = [item for item in items if item not in left_out]

    def place(item: pytest.Item) -> tuple[int, int]:
        if not item.get_closest_marker("claim"):
            return (-1, 0)
        return (order[axes_of(item)], claims.index(claim_of(item)[0].id))

    config.hook.pytest_deselected(items=dropped)
    items[:] = sorted(kept, key=place)


def claim_of(item: pytest.Item) -> tuple[Claim, Scope]:
    """Return the claim that a scenario decides, and where it can decide it.

    Raises :class:`pytest.UsageError` when the scenario names a claim that does not exist.
    """
    mark = item.get_closest_marker("claim")
    assert mark is not None
    known = catalogue().claims
    if mark.args[0] not in known:
        raise pytest.UsageError(
            f'{item.path.name}: @claim("{mark.args[0]}") on {item.name}: the catalogue has no such '
            f"claim; it has {', '.join(known)}"
        )
    return known[mark.args[0]], mark.kwargs.get("scope", Scope())


def axes_of(item: pytest.Item) -> Axes:
    """Return the parameters of this item."""
    callspec = getattr(item, "callspec", None)
    axes = callspec.params.get("axes") if callspec is not None else None
    assert isinstance(axes, Axes), "a scenario uses the fixture guest or source_text"
    return axes
