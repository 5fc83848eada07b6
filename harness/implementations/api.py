# SPDX-License-Identifier: MIT
"""Finds out from its code which interface an implementation has, and how providers register.

The header decides how providers register: the driver has one C file for each version, and its
Kbuild file lists the identifiers that a header of that version declares. The C files decide which
files callers see, by the subsystem that they register with: configfs or a device class.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from harness.errors import UsageError
from harness.implementations.model import InterfaceKind
from harness.paths import guest_images_directory

__all__ = ["HEADER", "DetectedApi", "api_of", "detect_api", "driver_apis", "without_comments"]

HEADER = "include/linux/tsm.h"
"""The header, in a module's directory, that declares how providers register."""

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_SUBSYSTEMS: Mapping[InterfaceKind, re.Pattern[str]] = {
    "configfs": re.compile(r"\bconfigfs_register_(?:subsystem|group)\s*\("),
    "class": re.compile(r"\bclass_(?:register|create)\s*\("),
}


@dataclass(frozen=True)
class DetectedApi:
    """``name`` is that of the driver's ``api_NAME.c``; ``interface`` is what callers see."""

    name: str
    interface: InterfaceKind


def detect_api(files: Mapping[str, str], where: str) -> DetectedApi:
    """Return how providers register with ``files``, which are from ``where``.

    Raises :class:`UsageError` when the header declares no registration that the driver knows.
    """
    name = _registration(files[HEADER])
    if name is None:
        identifiers = {names[0]: "" for names in driver_apis().values()}
        raise UsageError(
            f"the header in {where} declares none of {', '.join(identifiers)}",
            hint="a provider registers through one of these; the interface is detected by it",
        )
    usual: InterfaceKind = "class" if name == "class" else "configfs"
    sources = [without_comments(text) for path, text in files.items() if path.endswith(".c")]
    found = [kind for kind, call in _SUBSYSTEMS.items() if any(map(call.search, sources))]
    return DetectedApi(name, found[0] if len(found) == 1 else usual)


def api_of(files: Iterable[tuple[str, str]]) -> str | None:
    """Return the name of the driver's C file for these sources; None without a known header."""
    header = dict(files).get(HEADER)
    return _registration(header) if header is not None else None


def without_comments(text: str) -> str:
    """Return C code with a blank in place of each comment and of each string."""
    return _COMMENT.sub(" ", text)


def _registration(header: str) -> str | None:
    words = set(re.findall(r"\w+", without_comments(header)))
    return next((name for name, needed in driver_apis().items() if words.issuperset(needed)), None)


@cache
def driver_apis() -> dict[str, tuple[str, ...]]:
    """The versions of the interface that the driver serves, in the order of its Kbuild file.

    Keys are the names of ``api_NAME.c``, values the identifiers that its header declares.
    """
    kbuild = guest_images_directory() / "modules" / "tsm-sim" / "Kbuild"
    listed = re.search(
        r"^apis := ((?:.*\\\n)*.*)", kbuild.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert listed is not None
    found = re.findall(r"(\w+):([\w,]+)", listed[1])
    return {name: tuple(identifiers.split(",")) for name, identifiers in found}
