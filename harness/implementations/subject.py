# SPDX-License-Identifier: MIT
"""The subjects of patches, for run reports."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import parseaddr

from harness.errors import TsmHarnessError
from harness.implementations.from_patch import read_posting, split_base

__all__ = ["subjects_of"]


def subjects_of(names: Iterable[str]) -> dict[str, str]:
    """Return the subject of each implementation that is a patch, with its version and author.

    A patch that cannot be read, or has no subject, has none.
    """
    subjects = {name: _subject(name) for name in dict.fromkeys(names) if name.startswith("patch:")}
    return {name: subject for name, subject in subjects.items() if subject}


def _subject(name: str) -> str:
    try:
        posting = read_posting(split_base(name)[0])
    except TsmHarnessError:
        return ""
    version = f" (version {posting.version})" if posting.version > 1 else ""
    name = parseaddr(posting.author)[0] or posting.author
    author = f", {name}" if name else ""
    return f"{posting.subject}{version}{author}" if posting.subject else ""
