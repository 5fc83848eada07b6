# SPDX-License-Identifier: MIT
"""Fixtures of the tests: a session, and guests that end with their test."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from harness.guest.guest import Guest
from harness.progress import NullProgress
from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER, Settings
from providers_sim import ProviderLoop

Clone = Callable[[str], Guest]
Attach = Callable[[Guest], ProviderLoop]


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let commands under test hear Ctrl-C, also when a shell started the tests in the background.

    Such a shell ignores SIGINT for its child, and every descendant inherits that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep runs of the tests out of the user's history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TSM_HARNESS_HISTORY", str(tmp_path_factory.mktemp("history") / "history.db"))
        yield


@pytest.fixture(scope="session")
def session() -> Iterator[Session]:
    """The default kernel and implementations, from the user's cache."""
    with Session(Settings(), NullProgress()) as opened:
        yield opened


@pytest.fixture
def clone(session: Session) -> Iterator[Clone]:
    """Makes pristine guests with an implementation loaded."""
    with ExitStack() as stack:

        def make(tsm: str) -> Guest:
            factory = session.factory(DEFAULT_KERNEL)
            return stack.enter_context(factory.clone(session.template(DEFAULT_KERNEL, tsm)))

        yield make


@pytest.fixture
def guest(clone: Clone) -> Guest:
    """A clone with the kernel's own implementation, without a provider."""
    return clone("mainline")


@pytest.fixture
def attach(session: Session) -> Attach:
    """Attaches the default provider to a guest and waits until it is registered."""

    def make(guest: Guest) -> ProviderLoop:
        return guest.register(session.provider(DEFAULT_PROVIDER, 0))

    return make
