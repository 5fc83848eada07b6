# SPDX-License-Identifier: MIT
"""The plugin's command-line options: one for each option that the settings declare."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.errors import NotJudgedError, UsageError
from harness.settings import Settings, plugin_flag

__all__ = ["SETTINGS"]

SETTINGS = pytest.StashKey[Settings]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, in a group of their own."""
    group = parser.getgroup("tsm-harness")
    for each in Settings.options():
        flag = plugin_flag(each)
        if each.repeatable:
            help_text = f"{each.help} Repeatable."
            group.addoption(flag, action="append", default=[], type=each.kind, help=help_text)
        else:
            group.addoption(flag, default=each.default, type=each.kind, help=each.help)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker and check the options before anything is collected."""
    marker = "claim(id): the scenario decides this claim; harness.claims.claim() makes the mark"
    config.addinivalue_line("markers", marker)
    settings = _settings(config)
    try:
        config.stash[SETTINGS] = settings.check()
    except (UsageError, NotJudgedError) as error:
        raise pytest.UsageError(f"{error}" + (f" ({error.hint})" if error.hint else "")) from error


def _settings(config: pytest.Config) -> Settings:
    given: dict[str, Any] = {}
    for each in Settings.options():
        value = config.getoption(plugin_flag(each))
        given[each.name] = (tuple(value) or each.default) if each.repeatable else value
    settings = Settings(**given)
    return replace(settings, artifacts=settings.artifacts.absolute())
