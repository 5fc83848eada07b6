# SPDX-License-Identifier: MIT
"""A patch that is applied for the time of a judgement, and reverted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BuildError, UsageError
from harness.git import git, git_succeeds

__all__ = ["fixed_up"]


@contextmanager
def fixed_up(directory: Path, patch: Path | None) -> Iterator[None]:
    """Apply ``patch``, also when half of what it changes is there already, and revert it.

    A commit that has it already is left alone. Raises :class:`BuildError` when it does not apply:
    then nothing can be said of the commit, and nothing was changed.
    """
    if patch is None:
        yield
        return
    try:
        data = patch.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {patch}: {error.strerror}") from error
    if git_succeeds(directory, "apply", "--check", "--reverse", "-", data=data):
        yield
        return
    if not git_succeeds(directory, "apply", "--check", "-", data=data):
        raise BuildError(f"{patch.name} does not apply here")
    git(directory, "apply", "-", data=data)
    try:
        yield
    finally:
        git(directory, "apply", "--reverse", "-", data=data)
