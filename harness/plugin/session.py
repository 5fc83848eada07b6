# SPDX-License-Identifier: MIT
"""Makes the session of a pytest run, and closes it at the end."""

from __future__ import annotations

import signal
from types import FrameType

import pytest

from harness.plugin.options import SETTINGS
from harness.plugin.progress import plugin_progress
from harness.plugin.stash import SESSION
from harness.prepare import WorkerContext
from harness.progress import NullProgress
from harness.session import Session

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that a worker process gets from its parent."""
    parser.getgroup("tsm-harness").addoption(
        "--tsm-worker", default="", help="(internal) what a worker process needs, as JSON"
    )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make the session; it fetches, builds and boots only when a scenario needs it."""
    config = session.config
    worker = WorkerContext.from_argument(config.option.tsm_worker)
    if worker is not None:  # it was started with interrupts ignored: see runner
        separate = hasattr(config, "workerinput")
        signal.signal(signal.SIGINT, _interrupt_once if separate else signal.default_int_handler)
    failures = worker.failures if worker else None
    progress = NullProgress() if worker is not None else plugin_progress(config)
    config.stash[SESSION] = Session(config.stash[SETTINGS], progress, failures=failures)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End every guest and remove the run directory."""
    session.config.stash[SESSION].close()


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    """End a worker process; another interrupt must not disturb its clean-up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt
