# SPDX-License-Identifier: MIT
"""Postings: the patches that somebody sent, in the form that `git apply` takes."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FileChange", "PostedPatch", "Posting"]


@dataclass(frozen=True)
class FileChange:
    """A file that a patch changes, relative to the top of the kernel's tree.

    ``old`` is empty for a new file and ``new`` for one that is removed; they differ for a rename.
    """

    old: str
    new: str


@dataclass(frozen=True)
class PostedPatch:
    """One patch of a posting.

    ``diff`` is a unified diff with prefixes ``a/`` and ``b/``, whatever the form of the mail was.
    ``number`` is that of "n/m" in the subject, 0 without one.
    """

    subject: str
    number: int
    message_id: str
    changes: tuple[FileChange, ...]
    diff: bytes = field(repr=False)


@dataclass(frozen=True)
class Posting:
    """One version of a series, or a single patch, without replies and the cover letter's text.

    ``subject`` has no prefix in brackets. ``notes`` say what was repaired in the mails, and what
    was left out. ``damaged`` are files whose change is incomplete, and therefore not among the
    patches.
    """

    subject: str
    version: int
    author: str
    date: str
    message_id: str
    patches: tuple[PostedPatch, ...]
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file that the posting changes, by its last name, in order."""
        changes = (change for patch in self.patches for change in patch.changes)
        return tuple(dict.fromkeys(change.new or change.old for change in changes))
