# SPDX-License-Identifier: MIT
"""The defects of our implementations, as the ``defect_list.h`` of each module declares them.

A module compiles its list; this module reads the same file. A list consists of C comments and of
entries ``DEFECT(IDENTIFIER, "name", "claims", "effect")``; anything else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from harness.errors import BuildError
from harness.paths import guest_images_directory

__all__ = [
    "DEFECT_LIST",
    "EXPLORED_CLAIMS",
    "Defect",
    "OwnKind",
    "all_defects",
    "defects_breaking",
    "defects_of",
    "parse_defects",
]

OwnKind = Literal["class", "configfs"]
"""Which of our two modules: ``tsm-class`` or ``tsm-configfs``."""

DEFECT_LIST = "defect_list.h"
"""The file of a module that declares its defects."""

EXPLORED_CLAIMS = ("M1", "M2", "M3")
"""The claims that exploration decides: behaviour, nothing kept, progress."""

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STRING = r'"([^"\\]*)"'
_ENTRY = re.compile(
    rf"DEFECT\(\s*([A-Z][A-Z0-9_]*)\s*,\s*{_STRING}\s*,\s*{_STRING}\s*,\s*{_STRING}\s*\)"
)
_CLAIM = re.compile(r"[A-Z]\d+[a-z]?")


@dataclass(frozen=True)
class Defect:
    """A switch of an implementation and the claims it breaks; it is named for the first one."""

    identifier: str
    name: str
    claims: tuple[str, ...]
    effect: str

    @property
    def explored(self) -> bool:
        """Whether the defect is there for exploration to find: no claim of the review names it."""
        return self.claims[0] in EXPLORED_CLAIMS

    def concerns(self, claim: str) -> bool:
        """Whether a run that names no claims decides this one on the mutant with the defect.

        A mutant for exploration is decided for the claims that it lists; any other for all claims
        but those of exploration that it does not list.
        """
        return claim in self.claims or not (self.explored or claim in EXPLORED_CLAIMS)


def parse_defects(text: str, source: str) -> dict[str, Defect]:
    """Parse a list; ``source`` is its path. The defects by name, in the order of the list.

    Raises :class:`BuildError` with ``source`` and the line of the first mistake.
    """
    blanked = _COMMENT.sub(lambda comment: re.sub(r"[^\n]", " ", comment[0]), text)
    defects: dict[str, Defect] = {}
    position = 0
    while rest := blanked[position:].lstrip():
        start = len(blanked) - len(rest)
        entry = _ENTRY.match(blanked, start)
        where = f"{source}:{blanked.count(chr(10), 0, start) + 1}"
        if entry is None:
            raise BuildError(
                f"{where}: not a defect: {rest.splitlines()[0]}",
                hint='write DEFECT(IDENTIFIER, "name", "claims", "effect")',
            )
        defect = _checked(Defect(entry[1], entry[2], tuple(entry[3].split()), entry[4]), where)
        if defect.name in defects:
            raise BuildError(f"{where}: {defect.name} is declared twice", hint="delete one of them")
        defects[defect.name] = defect
        position = entry.end()
    return defects


def _checked(defect: Defect, where: str) -> Defect:
    name = defect.identifier.lower().replace("_", "-")
    if defect.name != name:
        raise BuildError(
            f"{where}: {defect.identifier} has the name {defect.name!r}", hint=f'name it "{name}"'
        )
    if not defect.claims or not all(map(_CLAIM.fullmatch, defect.claims)):
        raise BuildError(
            f"{where}: {defect.name} breaks {' '.join(defect.claims) or 'no claim'}",
            hint="list ids of claims, separated by blanks, the one it is named for first",
        )
    if not defect.effect:
        raise BuildError(f"{where}: {defect.name} has no effect", hint="describe the effect")
    return defect


@cache
def defects_of(kind: OwnKind) -> Mapping[str, Defect]:
    """The defects of the module ``tsm-KIND``, by name; raises :class:`BuildError`."""
    path = guest_images_directory() / "modules" / f"tsm-{kind}" / DEFECT_LIST
    return parse_defects(path.read_text(encoding="utf-8"), str(path))


def all_defects() -> Mapping[str, Defect]:
    """The defects of both modules, by name; raises :class:`BuildError`."""
    return {**defects_of("class"), **defects_of("configfs")}


@cache
def defects_breaking(claim: str) -> frozenset[str]:
    """The names of the defects that break the claim with this id."""
    return frozenset(d.name for d in all_defects().values() if claim in d.claims)
