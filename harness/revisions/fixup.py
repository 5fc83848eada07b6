# SPDX-License-Identifier: MIT
"""Applies a patch to a working tree for a while, and reverts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BuildError, UsageError
from harness.git import git, git_succeeds

__all__ = ["fixup_applied"]


@contextmanager
def fixup_applied(tree: Path, patch: Path | None) -> Iterator[None]:
    """Apply ``patch`` to ``tree``, and revert it at the end of the context.

    A tree that contains the patch is left unchanged. Raises :class:`BuildError`, with the tree
    unchanged, when the patch does not apply.
    """
    if patch is None:
        yield
        return
    try:
        data = patch.read_bytes()
    except OSError as error:
        raise UsageError(
            f"cannot read the fixup {patch}: {error.strerror}",
            hint="give the path of a patch with --fixup",
        ) from error
    if git_succeeds(tree, "apply", "--check", "--reverse", "-", data=data):
        yield
        return
    if not git_succeeds(tree, "apply", "--check", "-", data=data):
        raise BuildError(f"the fixup {patch.name} does not apply here")
    git(tree, "apply", "-", data=data)
    try:
        yield
    finally:
        git(tree, "apply", "--reverse", "-", data=data)
