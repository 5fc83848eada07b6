# SPDX-License-Identifier: MIT
"""The pytest plugin: scenarios are plain pytest, their guests and verdicts come from here.

:mod:`options` says which cells there are, :mod:`cells` spreads a scenario over them,
:mod:`fixtures` gives it a guest, :mod:`judge` turns what it saw into a verdict, and
:mod:`results` brings the verdicts together, also from parallel workers. :mod:`sections` is for
tests that decide no claim, but try a program that uses the interface.
"""

from __future__ import annotations

pytest_plugins = [
    "harness.plugin.options",
    "harness.plugin.cells",
    "harness.plugin.fixtures",
    "harness.plugin.verdicts",
    "harness.plugin.results",
    "harness.plugin.sections",
    "harness.plugin.session",
]
