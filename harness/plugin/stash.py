# SPDX-License-Identifier: MIT
"""The keys under which the plugin keeps objects in pytest's stashes."""

from __future__ import annotations

import pytest

from harness.guest.guest import Guest
from harness.interface.find import Interface
from harness.session import Session

__all__ = ["GUEST", "INTERFACE", "SESSION"]

SESSION = pytest.StashKey[Session]()
"""In the configuration's stash: kernels, templates and guests of this process."""

GUEST = pytest.StashKey[Guest]()
"""In an item's stash: its guest."""

INTERFACE = pytest.StashKey[Interface]()
"""In an item's stash: the interface of its guest, with what the scenario read and wrote."""
