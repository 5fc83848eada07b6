# SPDX-License-Identifier: MIT
"""Reads from a Makefile or Kbuild file which objects a module consists of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from posixpath import normpath

__all__ = ["Listing", "objects_beside"]

_CONTINUED = re.compile(r"\\\n")
_COMMENT = re.compile(r"(?<!\\)#.*")
_OBJECTS = re.compile(
    r"^[ \t]*([\w.-]+?)-(?:\$\(\w+\)|\$\{\w+\}|objs|y|m)[ \t]*[:+?]?=(.*)$", re.MULTILINE
)


@dataclass(frozen=True)
class Listing:
    """The C files of a module, by path, and the ``file`` that lists them."""

    file: PurePosixPath
    objects: frozenset[PurePosixPath]


def objects_beside(
    source: PurePosixPath, build_files: Mapping[PurePosixPath, str]
) -> Listing | None:
    """Return the module that ``source`` is part of; None when no file beside it lists one.

    Kbuild reads the file Kbuild rather than Makefile when a directory has both.
    """
    for name in ("Kbuild", "Makefile"):
        file = source.parent / name
        for objects in _modules(build_files.get(file, "")):
            files = frozenset(
                PurePosixPath(normpath(source.parent / f"{item}.c")) for item in objects
            )
            if source in files:
                return Listing(file, files)
    return None


def _modules(text: str) -> list[list[str]]:
    """The objects of each module, without their suffix."""
    lists: dict[str, list[str]] = {}
    for name, value in _OBJECTS.findall(_COMMENT.sub("", _CONTINUED.sub(" ", text))):
        objects = [word.removesuffix(".o") for word in value.split() if word.endswith(".o")]
        lists.setdefault(name, []).extend(objects)
    modules = lists.pop("obj", [])
    return [lists.get(module) or [module] for module in modules]
