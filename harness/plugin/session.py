# SPDX-License-Identifier: MIT
"""Makes the session of a pytest run, and closes it at the end."""

from __future__ import annotations

import signal

import pytest

from harness.plugin.options import SETTINGS
from harness.plugin.stash import SESSION
from harness.progress import NullProgress
from harness.session import Prepared, Session

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that tells a worker what its parent has prepared."""
    parser.getgroup("tsm-harness").addoption(
        "--tsm-prepared", default="", help="(internal) what the parent process has prepared"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make the session; it fetches, builds and boots only when a scenario needs it."""
    config = session.config
    prepared = Prepared.from_json(config.option.tsm_prepared)
    if prepared is not None:  # a worker is started with SIGINT ignored: see runner
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[SESSION] = Session(config.stash[SETTINGS], NullProgress(), prepared=prepared)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End every guest and remove the run directory."""
    session.config.stash[SESSION].close()
