# SPDX-License-Identifier: MIT
"""Loads the harness's pytest plugin, so that ``pytest scenarios`` works in a checkout."""

from __future__ import annotations

pytest_plugins = ["harness.plugin"]
