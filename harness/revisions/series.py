# SPDX-License-Identifier: MIT
"""Gives a verdict on each patch of a series, in a temporary working tree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.git import commit_of, git, temporary_worktree
from harness.revisions.verdicts import CommitVerdict

__all__ = ["series_verdicts"]


def series_verdicts(
    repository: Path,
    base: str,
    series: Path,
    scratch: Path,
    decide: Callable[[Path], CommitVerdict],
    on_verdict: Callable[[str, CommitVerdict], None] = lambda *_: None,
) -> list[tuple[str, CommitVerdict]]:
    """Return the subject and the verdict of ``base``, then of every commit of ``series``.

    ``series`` is an mbox, or a directory of patches; the working tree is made in ``scratch``.
    Raises :class:`UsageError` when the series does not apply.
    """
    rows: list[tuple[str, CommitVerdict]] = []

    def add(tree: Path, subject: str) -> None:
        verdict = decide(tree)
        rows.append((subject, verdict))
        on_verdict(subject, verdict)

    with temporary_worktree(repository, commit_of(repository, base), scratch) as tree:
        start = git(tree, "rev-parse", "HEAD").strip()
        add(tree, f"base: {git(tree, 'log', '-1', '--format=%h %s').strip()}")
        _apply(tree, series)
        for commit in git(tree, "rev-list", "--reverse", f"{start}..HEAD").split():
            git(tree, "checkout", "--quiet", commit)
            add(tree, git(tree, "log", "-1", "--format=%s").strip())
    return rows


def _apply(tree: Path, series: Path) -> None:
    files = sorted(series.glob("*.patch")) if series.is_dir() else [series]
    if not files:
        raise UsageError(
            f"the directory {series} has no *.patch", hint="give the output of git format-patch"
        )
    # The commits are dropped with the working tree; git wants an identity all the same.
    identity = ("-c", "user.name=tsm-harness", "-c", "user.email=tsm-harness@localhost")
    paths = [str(file.absolute()) for file in files]
    try:
        git(tree, *identity, "am", "--quiet", "--3way", "--no-gpg-sign", *paths)
    except UsageError as error:
        raise UsageError(
            f"the series does not apply: {error}", hint="name the commit it is based on (--base)"
        ) from error
