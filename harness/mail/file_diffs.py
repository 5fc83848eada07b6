# SPDX-License-Identifier: MIT
"""Takes patches apart by file, and applies those of new files in an empty directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import UsageError
from harness.git import git
from harness.mail.model import FileChange, PostedPatch, Posting

__all__ = ["file_diffs", "new_files"]

# Every line of a hunk begins with another character, or with a backslash.
_HEAD = re.compile(rb"^(?=diff --git )", re.MULTILINE)
# The settings of the user must not change what a patch means.
_PLAIN = ("-c", "core.autocrlf=false", "-c", "apply.ignoreWhitespace=no")


def file_diffs(patch: PostedPatch) -> Iterator[tuple[FileChange, bytes]]:
    """Each file that the patch changes, with its part of the diff."""
    return zip(patch.changes, (part for part in _HEAD.split(patch.diff) if part), strict=True)


def new_files(posting: Posting) -> dict[str, bytes]:
    """The files that a posting creates, with what its later patches change in them.

    Raises :class:`UsageError` with git's message when one of these changes does not apply.
    """
    with TemporaryDirectory(prefix="tsm-harness-patch-") as folder:
        tree = Path(folder)
        git(tree, "init", "--quiet")  # a repository around the directory must not matter
        present: set[str] = set()
        for patch in posting.patches:
            _apply(tree, patch, present)
        return {name: (tree / name).read_bytes() for name in sorted(present)}


def _apply(tree: Path, patch: PostedPatch, present: set[str]) -> None:
    """Apply the changes of files that the posting created; ``present`` follows them."""
    own: list[bytes] = []
    for change, diff in file_diffs(patch):
        if change.old and change.old not in present:
            continue
        own.append(diff)
        present -= {change.old}
        present |= {change.new} if change.new else set()
    if not own:
        return
    try:
        git(tree, *_PLAIN, "apply", "--whitespace=nowarn", "-", data=b"".join(own))
    except UsageError as error:
        message = str(error).partition(": ")[2]
        raise UsageError(
            f"the patch {patch.subject!a} does not apply to the files of its posting: {message}",
            hint="give all mails of the series",
        ) from error
