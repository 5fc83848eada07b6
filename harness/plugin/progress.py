# SPDX-License-Identifier: MIT
"""Shows, in an ordinary pytest run, what the first use fetches, builds and boots."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.progress import NullProgress, Progress, Step, duplicate_progress

__all__ = ["plugin_progress"]


class _PluginProgress:
    """Shows steps below the line that pytest is writing; other threads leave that line alone."""

    def __init__(self, config: pytest.Config, shown: Progress) -> None:
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self._shown = shown

    @contextmanager
    def step(self, text: str, total: int | None = None) -> Iterator[Step]:
        if self._reporter is not None and threading.current_thread() is threading.main_thread():
            with self._capture.global_and_fixture_disabled():
                self._reporter.ensure_newline()
                sys.stdout.flush()
        with self._shown.step(text, total) as step:
            yield step


def plugin_progress(config: pytest.Config) -> Progress:
    """Show steps on the standard error of the process, although pytest captures it.

    A worker of pytest-xdist shows nothing, nor does a quiet run (``-q``).
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    if hasattr(config, "workerinput") or config.option.verbose < 0 or capture is None:
        return NullProgress()
    with capture.global_and_fixture_disabled():
        try:
            descriptor = os.dup(2)
        except OSError:  # standard error is closed
            return NullProgress()
    return _PluginProgress(config, duplicate_progress(descriptor))
