# SPDX-License-Identifier: MIT
"""Load the pytest plugin of the harness; ``pytest scenarios`` then works in a checkout."""

from __future__ import annotations

pytest_plugins = ["harness.plugin"]
