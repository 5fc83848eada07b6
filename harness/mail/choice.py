# SPDX-License-Identifier: MIT
"""Chooses one of several postings, and says which files of it concern the report interface."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.errors import UsageError
from harness.mail.file_diffs import file_diffs
from harness.mail.model import Posting

__all__ = [
    "choose_posting",
    "concerned_paths",
    "list_postings",
    "selected_posting",
    "split_selector",
]

_SELECTOR = re.compile(r"(.+)#(v?[0-9]{1,4}|v?[0-9]*[A-Za-z0-9]*)", re.DOTALL)
_INTERFACE = re.compile(r"(drivers/virt/coco/.+|include/(uapi/)?linux/tsm[^/]*)\.[ch]")
_REGISTRATION = re.compile(
    rb"^\+.*(\b(register_tsm|tsm_register|tsm_report_register)\s*\(|<linux/tsm[a-z_-]*\.h>)",
    re.MULTILINE,
)


def split_selector(source: str) -> tuple[str, str]:
    """Split ``FILE#2`` and ``FILE#v2`` into the name and the selector; a file may have a ``#``."""
    found = _SELECTOR.fullmatch(source)
    try:
        if found is None or Path(source).exists():
            return source, ""
    except (OSError, ValueError):
        return source, ""
    return found[1], found[2]


def choose_posting(postings: Sequence[Posting], selector: str = "") -> Posting:
    """Return the posting that ``selector`` names: ``2`` is the second, ``v2`` is version 2.

    Without a selector it is the first complete one that changes a file of the interface; its notes
    name the others. Raises :class:`UsageError` with the list of postings.
    """
    chosen = selected_posting(postings, selector)
    posting = postings[chosen]
    damaged = [path for path in posting.damaged if _INTERFACE.fullmatch(path)]
    if damaged or not posting.paths:
        raise UsageError(
            f"the posting {posting.subject!a} is incomplete: {'; '.join(posting.notes[:3])}",
            hint=_choices(postings),
        )
    if selector or len(postings) == 1:
        return posting
    others = [
        f"not used: #{number} {_title(other)}"
        for number, other in enumerate(postings, 1)
        if number != chosen + 1
    ]
    return replace(
        posting, notes=(*posting.notes, f"used: #{chosen + 1} {_title(posting)}", *others)
    )


def selected_posting(postings: Sequence[Posting], selector: str = "") -> int:
    """The position of the posting that :func:`choose_posting` takes, complete or not."""
    return _selected(postings, selector) if selector else _first(postings)


def concerned_paths(posting: Posting) -> tuple[str, ...]:
    """The files of the interface and its drivers, and new files that have an interface."""
    found = []
    for patch in posting.patches:
        for change, diff in file_diffs(patch):
            names = [name for name in (change.new, change.old) if name]
            is_new = not change.old and names[0].endswith((".c", ".h"))
            if any(_INTERFACE.fullmatch(name) for name in names) or (
                is_new and (names[0].endswith("tsm.h") or _REGISTRATION.search(diff))
            ):
                found.append(names[0])
    return tuple(dict.fromkeys(found))


def list_postings(postings: Sequence[Posting]) -> list[str]:
    """One line for each posting, with its number."""
    return [f"#{number} {_title(posting)}" for number, posting in enumerate(postings, 1)]


def _title(posting: Posting) -> str:
    version = f"v{posting.version}, " if posting.version > 1 else ""
    by = f", {posting.author}" if posting.author else ""
    number = len(posting.patches)
    patches = "1 patch" if number == 1 else f"{number} patches"
    return f"{posting.subject or 'without a subject'} ({version}{patches}{by})"


def _first(postings: Sequence[Posting]) -> int:
    usable = [at for at, posting in enumerate(postings) if not posting.damaged and posting.paths]
    concerned = (at for at in usable if concerned_paths(postings[at]))
    return next(concerned, usable[0] if usable else 0)


def _selected(postings: Sequence[Posting], selector: str) -> int:
    number = selector.removeprefix("v")
    found: list[int] = []
    if number.isdigit() and selector != number:
        found = [at for at, posting in enumerate(postings) if posting.version == int(number)]
    elif number.isdigit():
        found = [at for at in range(len(postings)) if at + 1 == int(number)]
    if len(found) != 1:
        what = "no posting" if not found else f"{len(found)} postings, and one is wanted,"
        raise UsageError(f"there is {what} for #{selector}", hint=_choices(postings))
    return found[0]


def _choices(postings: Sequence[Posting]) -> str:
    return "the postings are: " + "; ".join(list_postings(postings)[:20])
