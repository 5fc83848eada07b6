# SPDX-License-Identifier: MIT
"""Finds the first commit that breaks a claim, in a temporary working tree."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.git import commit_of, git, git_succeeds, temporary_worktree
from harness.revisions.verdicts import CommitVerdict
from harness.verdict import EXIT_AS_EXPECTED, EXIT_UNEXPECTED

__all__ = ["Bisection", "bisect"]

_FIRST_BAD = re.compile(r"^([0-9a-f]{7,64}) is the first bad commit", re.MULTILINE)
_ONLY_SKIPPED = "only 'skip'ped"
_TERMS = {EXIT_AS_EXPECTED: "good", EXIT_UNEXPECTED: "bad"}


@dataclass(frozen=True)
class Bisection:
    """The result: the first bad commit or, without one, the commits it is among.

    ``tested`` are the commits that got a verdict, in that order.
    """

    first_bad: str
    suspects: tuple[str, ...]
    tested: tuple[tuple[str, CommitVerdict], ...]


def bisect(
    repository: Path,
    good: str,
    bad: str,
    scratch: Path,
    decide: Callable[[Path], CommitVerdict],
    on_verdict: Callable[[str, CommitVerdict], None] = lambda *_: None,
) -> Bisection:
    """Bisect from ``good`` to ``bad``, both of which are tested first.

    The working tree is made in ``scratch``. Raises :class:`UsageError` when the verdict on
    ``good`` or ``bad`` is another: the bisection would mislead.
    """
    tested: list[tuple[str, CommitVerdict]] = []
    good, bad = (commit_of(repository, ref) for ref in (good, bad))
    if not git_succeeds(repository, "merge-base", "--is-ancestor", good, bad):
        raise UsageError(
            f"the good commit {good[:12]} is no ancestor of the bad commit {bad[:12]}",
            hint="name a good commit of the same history; `git merge-base` finds one",
        )

    def test(tree: Path) -> CommitVerdict:
        subject = git(tree, "log", "-1", "--format=%h %s").strip()
        verdict = decide(tree)
        tested.append((subject, verdict))
        on_verdict(subject, verdict)
        return verdict

    with temporary_worktree(repository, bad, scratch) as tree:
        _check_end(bad, "bad", test(tree))
        git(tree, "checkout", "--quiet", good)
        _check_end(good, "good", test(tree))
        try:
            output = git(tree, "bisect", "start", bad, good)
            while not (found := _FIRST_BAD.search(output)) and _ONLY_SKIPPED not in output:
                output = _mark(tree, _TERMS.get(test(tree).exit_status, "skip"))
        finally:
            git(tree, "bisect", "reset")
    if found:
        return Bisection(found[1], (), tuple(tested))
    suspects = re.findall(r"^([0-9a-f]{40})$", output, re.MULTILINE)
    return Bisection("", tuple(suspects), tuple(tested))


def _mark(tree: Path, term: str) -> str:
    """Mark the commit for git, and return git's output.

    git fails when only skipped commits are left; the output is then their list.
    """
    try:
        return git(tree, "bisect", term)
    except UsageError:
        commits = git(tree, "bisect", "view", "--format=%H")
        return f"{_ONLY_SKIPPED} commits left:\n{commits}"


def _check_end(commit: str, term: str, verdict: CommitVerdict) -> None:
    if _TERMS.get(verdict.exit_status) != term:
        raise UsageError(
            f"{commit} was given as {term}, but its verdict is {verdict}",
            hint="choose another commit, or run more often (--times, --rate)",
        )
