# SPDX-License-Identifier: MIT
"""Judges a series patch by patch, in a working tree of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.errors import UsageError
from harness.git import git, temporary_worktree
from harness.revisions.verdicts import Judgement

__all__ = ["judge_series"]


def judge_series(
    repository: Path,
    base: str,
    series: Path,
    where: Path,
    judge: Callable[[Path], Judgement],
    told: Callable[[str, Judgement], None] = lambda *_: None,
) -> list[tuple[str, Judgement]]:
    """Judge ``base``, then every commit of ``series``: an mbox, or a directory of patches.

    Raises :class:`UsageError` when it does not apply, with git's words.
    """
    rows: list[tuple[str, Judgement]] = []

    def row(tree: Path, title: str) -> None:
        judgement = judge(tree)
        rows.append((title, judgement))
        told(title, judgement)

    with temporary_worktree(repository, base, where) as tree:
        start = git(tree, "rev-parse", "HEAD").strip()
        row(tree, f"base: {git(tree, 'log', '-1', '--format=%h %s').strip()}")
        _apply(tree, series)
        for commit in git(tree, "rev-list", "--reverse", f"{start}..HEAD").split():
            git(tree, "checkout", "--quiet", commit)
            row(tree, git(tree, "log", "-1", "--format=%s").strip())
    return rows


def _apply(tree: Path, series: Path) -> None:
    files = sorted(series.glob("*.patch")) if series.is_dir() else [series]
    if not files:
        raise UsageError(f"there is no *.patch in {series}")
    # Whoever has no name here still makes commits nobody will see.
    who = ("-c", "user.name=tsm-harness", "-c", "user.email=tsm-harness@localhost")
    words = [str(file.absolute()) for file in files]
    try:
        git(tree, *who, "am", "--quiet", "--3way", "--no-gpg-sign", *words)
    except UsageError as error:
        raise UsageError(
            f"the series does not apply: {error}", hint="name the commit it was made for (--base)"
        ) from error
