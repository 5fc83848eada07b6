# SPDX-License-Identifier: MIT
"""The fixtures of scenarios: a pristine guest, its provider, its interface, its actors."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from harness.access.ssh import SshSession
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.implementations.source_text import SourceText
from harness.interface.find import Interface, find_interface
from harness.interface.report import Report
from harness.kernels.model import Kernel
from harness.oracle.kernel_log import KernelLog
from harness.plugin.cells import Axes
from harness.plugin.options import SETTINGS
from harness.plugin.prediction import skip_out_of_scope
from harness.plugin.stash import GUEST, INTERFACE, SESSION
from harness.settings import Settings
from providers_sim import ProviderLoop

__all__: list[str] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Forget the guest of an item that has ended: pytest keeps every item until the run ends."""
    try:
        return (yield)
    finally:
        if GUEST in item.stash:
            del item.stash[GUEST]
        if INTERFACE in item.stash:
            del item.stash[INTERFACE]


@pytest.fixture
def guest(request: pytest.FixtureRequest, axes: Axes) -> Iterator[Guest]:
    """A pristine clone with the implementation and the provider driver loaded."""
    item = request.node
    if item.get_closest_marker("claim"):
        skip_out_of_scope(item)
    with request.config.stash[SESSION].take_guest(axes.kernel, axes.tsm) as clone:
        item.stash[GUEST] = clone
        yield clone


@pytest.fixture
def kernel(request: pytest.FixtureRequest, axes: Axes) -> Kernel:
    """The kernel that the guest runs, with its release and configuration."""
    return request.config.stash[SESSION].kernel(axes.kernel)


@pytest.fixture
def source_text(request: pytest.FixtureRequest, axes: Axes) -> SourceText:
    """The sources of the implementation; the scenario runs no guest."""
    skip_out_of_scope(request.node)
    session = request.config.stash[SESSION]
    source = session.implementation(axes.kernel, axes.tsm).source()
    assert source is not None, "the scope of a scenario that reads sources must name them"
    return SourceText(source, session.kernel(axes.kernel), session.cache)


@pytest.fixture
def provider(
    request: pytest.FixtureRequest, guest: Guest, axes: Axes, tsm_settings: Settings
) -> ProviderLoop:
    """The simulated TEE, registered with the implementation."""
    session = request.config.stash[SESSION]
    return guest.register(session.provider(axes.provider, tsm_settings.seed + axes.repetition))


@pytest.fixture
def fork(request: pytest.FixtureRequest, guest: Guest, axes: Axes) -> Iterator[Callable[[], Guest]]:
    """A function that copies the running guest with its provider; each copy runs on its own."""
    factory = request.config.stash[SESSION].factory(axes.kernel)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(factory.fork(guest))


@pytest.fixture
def interface(request: pytest.FixtureRequest, guest: Guest, provider: ProviderLoop) -> Interface:
    """The files that the implementation offers once a provider is registered."""
    found = find_interface(guest)
    request.node.stash[INTERFACE] = found
    return found


@pytest.fixture
def report(interface: Interface) -> Report:
    """The report entry of the first actor."""
    return interface.report()


@pytest.fixture
def actors(guest: Guest) -> tuple[Actor, ...]:
    """The guest's actors; the first one also makes the calls for which none is named."""
    return guest.actors


@pytest.fixture
def ssh(request: pytest.FixtureRequest, guest: Guest, axes: Axes) -> Iterator[SshSession]:
    """An SSH session with the guest: copy your own program there and run it."""
    keys = request.config.stash[SESSION].image(axes.kernel).ssh_keys
    with SshSession(guest, keys) as session:
        yield session


@pytest.fixture
def kernel_log(guest: Guest) -> KernelLog:
    """The guest's kernel log, and the splats that the scenario expects in it."""
    return guest.log


@pytest.fixture
def nonce(axes: Axes, tsm_settings: Settings) -> Callable[[], bytes]:
    """A function that makes 64-byte nonces; the same seed gives the same nonces."""
    source = random.Random(tsm_settings.seed * 1_000_003 + axes.repetition)
    return lambda: source.randbytes(64)


@pytest.fixture(scope="session")
def tsm_settings(pytestconfig: pytest.Config) -> Settings:
    """The settings of this run."""
    return pytestconfig.stash[SETTINGS]
