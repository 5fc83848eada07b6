# SPDX-License-Identifier: MIT
"""Takes patches apart by file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.mail.model import FileChange, PostedPatch, Posting

__all__ = ["created_files", "file_diffs"]

# Every line of a hunk begins with another character, or with a backslash.
_HEAD = re.compile(rb"^(?=diff --git )", re.MULTILINE)


def file_diffs(patch: PostedPatch) -> Iterator[tuple[FileChange, bytes]]:
    """Each file that the patch changes, with its part of the diff."""
    return zip(patch.changes, (part for part in _HEAD.split(patch.diff) if part), strict=True)


def created_files(posting: Posting) -> list[FileChange]:
    """The changes that create files, and those of later patches to these files."""
    created: set[str] = set()
    changes: list[FileChange] = []
    for change in (change for patch in posting.patches for change in patch.changes):
        if not change.old or change.old in created:
            changes.append(change)
            created.add(change.new)
    return changes
