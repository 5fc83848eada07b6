# SPDX-License-Identifier: MIT
"""The picture of the packages shows the imports as they are now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parent.parent / "docs"


def _draw_rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_rooms", DOCS / "draw_rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_picture_is_current() -> None:
    drawn = str(_draw_rooms().draw())
    assert drawn == (DOCS / "rooms.svg").read_text(encoding="utf-8"), "run: tox -e picture"
