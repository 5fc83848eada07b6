# SPDX-License-Identifier: MIT
"""Which changes of a posting concern the merged implementation, and under which names.

A path differs between kernels: ``tsm.c`` became ``guest/report.c`` in 6.16. A patch to one name is
applied to the file that has the other name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.errors import NotJudgedError
from harness.implementations.core import CORE_DIRECTORY, core_of
from harness.mail.choice import concerned_paths
from harness.mail.model import FileChange, PostedPatch, Posting

__all__ = [
    "Aligned",
    "align",
    "changes_core",
    "chosen_changes",
    "judged_paths",
    "left_out",
    "not_judged",
    "require_judged",
]

_CORE = re.compile(rf"{CORE_DIRECTORY}/(?:guest/)?[^/]+\.[ch]|include/linux/tsm[^/]*\.h")
_OTHER_MODULES = frozenset(
    f"{CORE_DIRECTORY}/{name}" for name in ("tsm-core.c", "tsm-mr.c", "guest/tsm-mr.c")
) | {"include/linux/tsm-mr.h"}
_MAKEFILE = re.compile(rf"{CORE_DIRECTORY}/(?:guest/)?(?:Makefile|Kbuild)")
_KERNEL = ("drivers/", "include/")
_MOVED = {"tsm.c": "report.c", "report.c": "tsm.c"}


@dataclass(frozen=True)
class Aligned:
    """Sources in which each file has the name that a posting uses; ``moved`` maps it to ours."""

    files: Mapping[str, str]
    moved: Mapping[str, str]

    def restored(self, files: Mapping[str, str]) -> dict[str, str]:
        """Give each file in ``files`` its own name again, unless the posting renamed it."""
        return {self.moved.get(name, name): text for name, text in files.items()}


def changes_core(posting: Posting) -> bool:
    """Whether the posting changes a file, not new in it, that may belong to the implementation."""
    made: set[str] = set()
    for change in _changes(posting.patches):
        if not change.old or change.old in made:
            made.add(change.new)
        elif _may_be_core(change.old):
            return True
    return False


def align(files: Mapping[str, str], posting: Posting) -> Aligned:
    """Rename in ``files`` what the posting changes under another name."""
    moved: dict[str, str] = {}
    made: set[str] = set()
    for change in _changes(posting.patches):
        if change.old and change.old not in {*files, *made, *moved}:
            other = _other_name(change.old, files)
            moved |= {change.old: other} if other and other not in moved.values() else {}
        made.add(change.new)
    ours = {own: name for name, own in moved.items()}
    return Aligned({ours.get(name, name): text for name, text in files.items()}, moved)


def _other_name(name: str, files: Mapping[str, str]) -> str:
    """The one file that has the name's last part, or the last part that another kernel gave it."""
    last = PurePosixPath(name).name
    if not _CORE.fullmatch(name):
        return ""
    for wanted in filter(None, (last, _MOVED.get(last))):
        same = [each for each in files if PurePosixPath(each).name == wanted]
        if len(same) == 1:
            return same[0]
    return ""


def chosen_changes(aligned: Aligned, posting: Posting) -> list[FileChange]:
    """The changes to apply: to the implementation, to its Makefile, and new files beside them.

    A file of the implementation is followed through renames.
    """
    core = core_of(aligned.restored(aligned.files))
    theirs = {own: name for name, own in aligned.moved.items()}
    owned = {*core.files, core.makefile} if core else set(aligned.files)
    known = {theirs.get(name, name) for name in owned}
    chosen = []
    for change in _changes(posting.patches):
        if change.old:
            # A file that is missing here is for git to complain of.
            lacks = change.old not in aligned.files and _may_be_core(change.old)
            wanted = change.old in known or lacks
        else:
            wanted = _may_be_core(change.new) or bool(_MAKEFILE.fullmatch(change.new))
        if wanted:
            chosen.append(change)
            known.add(change.new)
    return chosen


def left_out(posting: Posting, judged: set[str]) -> list[str]:
    """The files that the posting changes besides ``judged``, by their last names."""
    return [name for name in posting.paths if name not in judged]


def judged_paths(posting: Posting) -> tuple[str, ...]:
    """The files of the posting that can belong to an implementation, by their last names.

    They are those of the merged implementation, and new ones elsewhere that have an interface.
    """
    changes = _changes(posting.patches)
    new = {change.new for change in changes if not change.old}
    own = {path for path in concerned_paths(posting) if not path.startswith(_KERNEL)} & new
    judged = (
        change.new or change.old
        for change in changes
        if _may_be_core(change.new) or _may_be_core(change.old) or change.new in own
    )
    return tuple(dict.fromkeys(judged))


def require_judged(name: str, posting: Posting) -> None:
    """Raise :class:`NotJudgedError` when no file of the posting can belong to an implementation."""
    if not judged_paths(posting):
        raise not_judged(name, posting)


def not_judged(name: str, posting: Posting) -> NotJudgedError:
    """The error for a posting that changes nothing of the implementation."""
    shown = ", ".join(posting.paths[:12]) or "no file"
    return NotJudgedError(
        f"{name} changes nothing that is judged; it changes {shown}",
        hint=f"judged are the sources of the report interface: {CORE_DIRECTORY}/tsm.c or "
        "guest/report.c, the files beside it that its Makefile names, and include/linux/tsm.h",
    )


def _may_be_core(path: str) -> bool:
    return bool(_CORE.fullmatch(path)) and path not in _OTHER_MODULES


def _changes(patches: Sequence[PostedPatch]) -> list[FileChange]:
    return [change for patch in patches for change in patch.changes]
