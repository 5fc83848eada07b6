# SPDX-License-Identifier: MIT
"""Finds the first commit that breaks a claim, in a working tree of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.git import git, temporary_worktree
from harness.revisions.verdicts import Judgement
from harness.verdict import EXIT_AS_EXPECTED, EXIT_UNEXPECTED

__all__ = ["Found", "bisect"]

_FIRST_BAD = re.compile(r"^([0-9a-f]{7,64}) is the first bad commit", re.MULTILINE)
_ANSWERS = {EXIT_AS_EXPECTED: "good", EXIT_UNEXPECTED: "bad"}


@dataclass(frozen=True)
class Found:
    """How a bisection ended: the first bad commit, or those among which it is.

    ``steps`` are the commits that were judged, with what was found, in that order.
    """

    first_bad: str
    suspects: tuple[str, ...]
    steps: tuple[tuple[str, Judgement], ...]


def bisect(
    repository: Path,
    good: str,
    bad: str,
    where: Path,
    judge: Callable[[Path], Judgement],
    told: Callable[[str, Judgement], None] = lambda *_: None,
) -> Found:
    """Bisect from ``good`` to ``bad``; both ends are judged first.

    Raises :class:`UsageError` when an end is not what it is said to be: everything that followed
    would mislead.
    """
    steps: list[tuple[str, Judgement]] = []
    good, bad = (git(repository, "rev-parse", f"{one}^{{commit}}").strip() for one in (good, bad))

    def step(tree: Path) -> Judgement:
        title = git(tree, "log", "-1", "--format=%h %s").strip()
        judgement = judge(tree)
        steps.append((title, judgement))
        told(title, judgement)
        return judgement

    with temporary_worktree(repository, bad, where) as tree:
        _check_end(tree, bad, "bad", step)
        git(tree, "checkout", "--quiet", good)
        _check_end(tree, good, "good", step)
        try:
            said = git(tree, "bisect", "start", bad, good)
            while not (found := _FIRST_BAD.search(said)) and "only 'skip'ped" not in said:
                answer = _ANSWERS.get(step(tree).status, "skip")
                said = _answer(tree, answer)
        finally:
            git(tree, "bisect", "reset")
        if found:
            return Found(found[1], (), tuple(steps))
        return Found("", tuple(re.findall(r"^([0-9a-f]{40})$", said, re.MULTILINE)), tuple(steps))


def _answer(tree: Path, answer: str) -> str:
    """Tell git; with nothing but skipped commits left it says so and fails."""
    try:
        return git(tree, "bisect", answer)
    except UsageError:
        left = git(tree, "bisect", "view", "--format=%H")
        return f"only 'skip'ped commits left:\n{left}"


def _check_end(tree: Path, name: str, meant: str, step: Callable[[Path], Judgement]) -> None:
    judgement = step(tree)
    if _ANSWERS.get(judgement.status) != meant:
        raise UsageError(
            f"{name} is to be {meant}, and it is not: {judgement}",
            hint="choose another commit, or run more often (--times, --rate)",
        )
