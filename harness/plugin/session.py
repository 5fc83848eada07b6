# SPDX-License-Identifier: MIT
"""The session of a test session: made when a scenario first needs it, cleared at the end."""

from __future__ import annotations

import signal

import pytest

from harness.plugin.options import SETTINGS
from harness.plugin.stash import SESSION
from harness.progress import NullProgress
from harness.session import Prepared, Session

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which a run tells its workers what it has prepared."""
    parser.getgroup("tsm-harness").addoption(
        "--tsm-prepared", default="", help="(internal) what the parent process has prepared"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Lay out a session; nothing is fetched, built or booted before a scenario asks."""
    config = session.config
    prepared = Prepared.from_json(config.option.tsm_prepared)
    if prepared is not None:  # a worker was started deaf to it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[SESSION] = Session(config.stash[SETTINGS], NullProgress(), prepared=prepared)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End every guest and remove what they left."""
    session.config.stash[SESSION].close()
