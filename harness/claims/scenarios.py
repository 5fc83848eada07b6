# SPDX-License-Identifier: MIT
"""Finds the scenarios of the installed catalogue without running them."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from harness.claims.catalogue import catalogue
from harness.claims.scope import Scope

__all__ = ["Scenario", "all_scenarios"]


@dataclass(frozen=True)
class Scenario:
    """A test function that decides the claim ``claim`` within ``scope``.

    ``file`` is relative to the directory above the catalogue's.
    """

    claim: str
    name: str
    scope: Scope
    file: Path
    line: int


@cache
def all_scenarios() -> tuple[Scenario, ...]:
    """Return the scenarios in the order of their files."""
    directory = catalogue().directory
    modules = [
        importlib.import_module(f"{directory.name}.{file.stem}")
        for file in sorted(directory.glob("test_*.py"))
    ]
    return tuple(each for module in modules for each in _scenarios(module, directory.parent))


def _scenarios(module: ModuleType, root: Path) -> Iterator[Scenario]:
    for name, function in vars(module).items():
        for mark in getattr(function, "pytestmark", ()) if name.startswith("test_") else ():
            if mark.name == "claim":
                code = inspect.unwrap(function).__code__
                file = Path(code.co_filename).relative_to(root)
                scope = mark.kwargs.get("scope", Scope())
                yield Scenario(mark.args[0], name, scope, file, code.co_firstlineno)
