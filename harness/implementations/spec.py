# SPDX-License-Identifier: MIT
"""Parses what a user writes for an implementation: ``mainline``, ``patch:FILE``, ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from harness.errors import UsageError
from harness.implementations.defects import OwnKind, all_defects, defects_of
from harness.implementations.from_patch import read_patch_implementation, read_unpatched_kernel
from harness.implementations.mainline import MainlineImplementation
from harness.implementations.model import Implementation
from harness.implementations.own import OwnImplementation
from harness.implementations.patched import merged_in_tree
from harness.implementations.user import read_user_implementation

__all__ = ["implementation_forms", "parse_implementation", "reference_names"]

_RENAMED = {
    "as-posted": "class-posted",
    "revised": "class-fixed",
    "corrected": "configfs-fixed",
}
"""Names of earlier versions, each with its replacement."""

_READERS: Mapping[str, tuple[str, Callable[[str], Implementation]]] = {
    "patch": ("FILE", read_patch_implementation),
    "unpatch": ("FILE", read_unpatched_kernel),
    "dir": ("PATH", read_user_implementation),
    "tree": ("PATH", merged_in_tree),
}
"""The kinds that a user brings, as KIND:OPERAND, each with the function that reads it."""


@cache
def _references() -> dict[str, Implementation]:
    posted = tuple(name for name, defect in defects_of("class").items() if not defect.explored)
    references = (
        MainlineImplementation(),
        OwnImplementation("configfs-fixed", "configfs"),
        OwnImplementation("class-posted", "class", posted),
        OwnImplementation("class-fixed", "class"),
    )
    return {implementation.name: implementation for implementation in references}


@cache
def _mutants() -> dict[str, Implementation]:
    kinds: tuple[OwnKind, ...] = ("class", "configfs")
    return {
        f"defect:{name}": OwnImplementation(f"defect:{name}", kind, (name,))
        for kind in kinds
        for name in defects_of(kind)
    }


def reference_names() -> tuple[str, ...]:
    """The implementations whose verdicts are known, without the mutants."""
    return tuple(_references())


def implementation_forms() -> str:
    """Every form of an implementation's name, for help texts and hints."""
    *forms, last = (f"{kind}:{operand}" for kind, (operand, _) in _READERS.items())
    return f"{', '.join([*_references(), 'defect:NAME', *forms])} or {last}"


def parse_implementation(name: str) -> Implementation:
    """Return the implementation of that name; reads the files of a user's.

    Raises :class:`UsageError` with the possible names, or with what a patch or directory lacks.
    """
    if name in _RENAMED:
        raise UsageError(f"{name} was renamed", hint=f"use {_RENAMED[name]}")
    kind, _, rest = name.partition(":")
    if kind in _READERS and rest:
        _, read = _READERS[kind]
        return read(name)
    known = _references() | _mutants()
    if name not in known:
        if kind == "defect":
            raise UsageError(f"no such defect: {rest}", hint=f"use {', '.join(all_defects())}")
        path = Path(name)
        kind = "patch" if path.is_file() else "dir" if path.is_dir() else ""
        meant = f"did you mean {kind}:{name}? " if kind else ""
        raise UsageError(
            f"no such implementation: {name}", hint=f"{meant}use {implementation_forms()}"
        )
    return known[name]
