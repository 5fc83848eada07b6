# SPDX-License-Identifier: MIT
"""The picture of the packages, and the list of them for the wheel, are current."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def _draw_rooms() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_rooms", DOCS / "draw_rooms.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_picture_is_current() -> None:
    drawn = str(_draw_rooms().draw())
    assert drawn == (DOCS / "rooms.svg").read_text(encoding="utf-8"), "run: tox -e picture"


def test_every_package_is_in_the_wheel() -> None:
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "harness").rglob("__init__.py")
    }
    assert found <= set(options["packages"])
    data = {
        (package, file.suffix)
        for package in found
        for file in (ROOT / Path(*package.split("."))).iterdir()
        if file.is_file() and file.suffix != ".py"
    }
    packed = {
        (package, Path(pattern).suffix or pattern)
        for package, patterns in options["package-data"].items()
        for pattern in patterns
    }
    assert {(package, suffix or "py.typed") for package, suffix in data} - packed == set()
