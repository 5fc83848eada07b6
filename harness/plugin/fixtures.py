# SPDX-License-Identifier: MIT
"""What a scenario can ask for: a pristine guest, its provider, its interface, its actors."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.access.ssh import SshSession
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.implementations.source_text import SourceText
from harness.implementations.spec import parse_implementation
from harness.interface.find import Interface, find_interface
from harness.interface.report import Report
from harness.kernels import Kernel
from harness.oracle.kernel_log import KernelLog
from harness.plugin.matrix import Axes, claim_of
from harness.plugin.options import SETTINGS
from harness.session import Session
from harness.settings import Settings
from providers_sim import ProviderLoop

__all__ = ["GUEST", "INTERFACE", "SESSION"]

SESSION = pytest.StashKey[Session]()
GUEST = pytest.StashKey[Guest]()
INTERFACE = pytest.StashKey[Interface]()


@pytest.fixture
def guest(request: pytest.FixtureRequest, axes: Axes) -> Iterator[Guest]:
    """A pristine clone with the TSM core and the provider driver loaded."""
    item, bench = request.node, request.config.stash[SESSION]
    if item.get_closest_marker("claim"):
        _skip_elsewhere(item, axes, bench)
    with bench.take_guest(axes.kernel, axes.tsm) as clone:
        item.stash[GUEST] = clone
        yield clone


def _skip_elsewhere(item: pytest.Item, axes: Axes, bench: Session) -> None:
    config = bench.config(axes.kernel)
    reason = claim_of(item)[1].skips(parse_implementation(axes.tsm), axes.provider, config)
    if reason:
        pytest.skip(reason)


@pytest.fixture
def kernel(request: pytest.FixtureRequest, axes: Axes) -> Kernel:
    """The kernel that the guest runs: its release and its configuration."""
    return request.config.stash[SESSION].kernel(axes.kernel)


@pytest.fixture
def source_text(request: pytest.FixtureRequest, axes: Axes) -> SourceText:
    """The sources of the core; there is no guest."""
    bench = request.config.stash[SESSION]
    _skip_elsewhere(request.node, axes, bench)
    return SourceText(parse_implementation(axes.tsm), bench.kernel(axes.kernel), bench.cache)


@pytest.fixture
def provider(
    request: pytest.FixtureRequest, guest: Guest, axes: Axes, tsm_settings: Settings
) -> ProviderLoop:
    """The simulated TEE, registered with the core."""
    bench = request.config.stash[SESSION]
    return guest.register(bench.provider(axes.provider, tsm_settings.seed + axes.repetition))


@pytest.fixture
def fork(request: pytest.FixtureRequest, guest: Guest, axes: Axes) -> Iterator[Callable[[], Guest]]:
    """Copies the guest as it is now, with its provider; each copy goes on by itself."""
    factory = request.config.stash[SESSION].factory(axes.kernel)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(factory.fork(guest))


@pytest.fixture
def interface(request: pytest.FixtureRequest, guest: Guest, provider: ProviderLoop) -> Interface:
    """The files that the core offers once a provider is there."""
    found = find_interface(guest)
    request.node.stash[INTERFACE] = found
    return found


@pytest.fixture
def report(interface: Interface) -> Report:
    """The first actor's report entry."""
    return interface.report()


@pytest.fixture
def actors(guest: Guest) -> tuple[Actor, ...]:
    """The guest's actors; the first also does what a scenario does without saying who."""
    return guest.actors


@pytest.fixture
def ssh(request: pytest.FixtureRequest, guest: Guest, axes: Axes) -> Iterator[SshSession]:
    """A shell in the guest, to bring a program of your own and run it there."""
    keys = request.config.stash[SESSION].image(axes.kernel).ssh_keys
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
