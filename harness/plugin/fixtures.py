# SPDX-License-Identifier: MIT
"""What a scenario can ask for: a pristine guest, its provider, its surface, its actors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.errors import HarnessError
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.guest.ssh import SshSession
from harness.kernels import Kernel
from harness.kernels.core import parse_core
from harness.kernels.coretext import CoreText
from harness.oracle.kernel_log import KernelLog
from harness.plugin.matrix import Axes, claim_of
from harness.plugin.options import SETTINGS
from harness.settings import Settings
from harness.surfaces.find import Surface, find_surface
from harness.surfaces.report import Report
from harness.workbench import Workbench
from providers_sim.loop import ProviderLoop

__all__ = ["GUEST", "SURFACE", "WORKBENCH"]

WORKBENCH = pytest.StashKey[Workbench]()
GUEST = pytest.StashKey[Guest]()
SURFACE = pytest.StashKey[Surface]()

_REGISTRATION_SECONDS = 20.0


@pytest.fixture
def guest(request: pytest.FixtureRequest, axes: Axes) -> Iterator[Guest]:
    """A pristine clone with the TSM core and the provider driver loaded."""
    item, bench = request.node, request.config.stash[WORKBENCH]
    if item.get_closest_marker("claim"):
        _skip_elsewhere(item, axes, bench)
    with bench.take_guest(axes.kernel, axes.tsm) as clone:
        item.stash[GUEST] = clone
        yield clone


def _skip_elsewhere(item: pytest.Item, axes: Axes, bench: Workbench) -> None:
    config = bench.config(axes.kernel)
    reason = claim_of(item)[1].skips(parse_core(axes.tsm), axes.provider, config)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def kernel(request: pytest.FixtureRequest, axes: Axes) -> Kernel:
    """The kernel that the guest runs: its release and its configuration."""
    return request.config.stash[WORKBENCH].kernel(axes.kernel)


@pytest.fixture
def core_text(request: pytest.FixtureRequest, axes: Axes) -> CoreText:
    """The sources of the core; there is no guest."""
    bench = request.config.stash[WORKBENCH]
    _skip_elsewhere(request.node, axes, bench)
    return CoreText(parse_core(axes.tsm), bench.kernel(axes.kernel), bench.cache)


@pytest.fixture
def provider(
    request: pytest.FixtureRequest, guest: Guest, axes: Axes, tsm_settings: Settings
) -> ProviderLoop:
    """The simulated TEE, registered with the core."""
    bench = request.config.stash[WORKBENCH]
    loop = guest.attach(bench.provider(axes.provider, tsm_settings.seed + axes.repetition))
    refused = loop.wait_registered(guest.patience.seconds(_REGISTRATION_SECONDS))
    if refused:
        raise HarnessError(f"the core refused the first provider with errno {refused}")
    return loop


@pytest.fixture
def fork(request: pytest.FixtureRequest, guest: Guest, axes: Axes) -> Iterator[Callable[[], Guest]]:
    """Copies the guest as it is now, with its provider; each copy goes on by itself."""
    factory = request.config.stash[WORKBENCH].factory(axes.kernel)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(factory.fork(guest))


@pytest.fixture
def surface(request: pytest.FixtureRequest, guest: Guest, provider: ProviderLoop) -> Surface:
    """The files that the core offers once a provider is there."""
    found = find_surface(guest)
    request.node.stash[SURFACE] = found
    return found


@pytest.fixture
def report(surface: Surface) -> Report:
    """The first actor's report entry."""
    return surface.report()


@pytest.fixture
def actors(guest: Guest) -> tuple[Actor, ...]:
    """The guest's actors; the first also does what a scenario does without saying who."""
    return guest.actors


@pytest.fixture
def ssh(request: pytest.FixtureRequest, guest: Guest, axes: Axes) -> Iterator[SshSession]:
    """A shell in the guest, to bring a program of your own and run it there."""
    keys = request.config.stash[WORKBENCH].image(axes.kernel).ssh_keys
    with SshSession(guest, keys) as session:
        yield session


@pytest.fixture
def kernel_log(guest: Guest) -> KernelLog:
    """The guest's kernel log, and what is expected of it."""
    return guest.log


@pytest.fixture
def nonce(axes: Axes, tsm_settings: Settings) -> Callable[[], bytes]:
    """Makes nonces of 64 bytes, the same ones whenever the seed is the same."""
    source = random.Random(tsm_settings.seed * 1_000_003 + axes.repetition)
    return lambda: source.randbytes(64)


@pytest.fixture(scope="session")
def tsm_settings(pytestconfig: pytest.Config) -> Settings:
    """What this run was asked to do."""
    return pytestconfig.stash[SETTINGS]
