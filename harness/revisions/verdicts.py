# SPDX-License-Identifier: MIT
"""The verdict on a commit: good, bad, or none.

The claims are decided in a child process, so that a crash there leaves no more than this commit
without a verdict. Verdicts are cached by the content of the working tree.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness.cache import Cache
from harness.child import run_in_child
from harness.claims.catalogue import catalogue
from harness.errors import HarnessError, TsmHarnessError
from harness.git import confined_git, git
from harness.identity import harness_digest
from harness.kernels.kbuild import tree_identity
from harness.paths import cache_directory
from harness.report.run_json import run_from_json
from harness.revisions.fixup import fixup_applied
from harness.revisions.worktree import settings_in_tree
from harness.settings import Settings
from harness.verdict import (
    EXIT_AS_EXPECTED,
    EXIT_NO_VERDICT,
    EXIT_UNEXPECTED,
    CellResult,
    Status,
    headline,
)

__all__ = ["CommitVerdict", "commit_verdict", "runs_needed"]

_LAYOUT = "3"
_KIND, _FILE = "verdict", "verdict.json"
_ORDER = (Status.FAIL, Status.ERROR, Status.MISS, Status.PASS, Status.SKIP)


@dataclass(frozen=True)
class CommitVerdict:
    """The most important status of each claim, and the reason for the first that is not PASS.

    ``runs`` counts the cells that ended in PASS or FAIL. ``cached``: it was decided earlier, for
    a working tree with the same content.
    """

    claims: dict[str, str] = field(default_factory=dict)
    reason: str = ""
    runs: int = 0
    cached: bool = False

    @property
    def exit_status(self) -> int:
        """For ``git bisect run``: 0 good, 1 bad, 125 no verdict."""
        found = set(self.claims.values())
        if Status.FAIL.value in found:
            return EXIT_UNEXPECTED
        undecided = {Status.ERROR.value, Status.MISS.value}
        if undecided & found or Status.PASS.value not in found:
            return EXIT_NO_VERDICT
        return EXIT_AS_EXPECTED

    def __str__(self) -> str:
        names = {EXIT_AS_EXPECTED: "good", EXIT_UNEXPECTED: "bad"}
        name = names.get(self.exit_status, "no verdict")
        return f"{name}: {self.reason}" if self.reason else name


def runs_needed(rate: float, confidence: float) -> int:
    """Return how many runs without a FAIL show that a defect is absent.

    A defect that shows in ``rate`` of the runs stays unnoticed in that many runs with a
    probability of at most 1 - ``confidence``.
    """
    return max(1, math.ceil(math.log(1 - confidence) / math.log(1 - rate))) if rate < 1 else 1


def commit_verdict(
    tree: Path, settings: Settings, *, workers: int = 0, fixup: Path | None = None
) -> CommitVerdict:
    """Decide the claims on the working tree ``tree``; paths in the settings are relative to it.

    Does not raise for a failure on the way: the verdict is then none, and its reason says why.
    """
    cache = Cache(cache_directory(settings.cache))
    settings = settings_in_tree(tree, settings)
    settings = replace(settings, artifacts=_artifacts(tree, settings.artifacts))
    key = _key(tree, settings, fixup)
    cached = _load(cache, key)
    if cached is not None and (cached.exit_status == EXIT_AS_EXPECTED or _has_any(settings)):
        return replace(cached, cached=True)
    try:
        with fixup_applied(tree, fixup):
            verdict = _decide(tree, settings, workers)
    except TsmHarnessError as error:
        return CommitVerdict({"": Status.ERROR.value}, str(error))
    if key and verdict.exit_status != EXIT_NO_VERDICT:
        _store(cache, key, verdict)
    return verdict


def _artifacts(tree: Path, root: Path) -> Path:
    """The directory for the evidence of the commit: cells of several commits have one name."""
    try:
        commit = git(tree, "rev-parse", "--verify", "--quiet", "HEAD").strip()
    except TsmHarnessError:
        return root.absolute()
    return root.absolute() / commit[:12]


def _has_any(settings: Settings) -> bool:
    """Whether the evidence of the cached verdict is where this run would write it."""
    return settings.artifacts.is_dir() and any(settings.artifacts.iterdir())


def _decide(tree: Path, settings: Settings, workers: int) -> CommitVerdict:
    absolute = replace(settings, cache=cache_directory(settings.cache))
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        arguments = [*absolute.run_arguments(), f"--artifacts={settings.artifacts}"]
        status = run_in_child([*arguments, f"--json={report}", f"-n{workers}"], tree)
        try:
            results = run_from_json(report.read_bytes()).results
        except OSError:
            reason = f"the run ended with status {status} and without a run report"
            return CommitVerdict({"": Status.ERROR.value}, reason)
        except HarnessError as error:
            return CommitVerdict({"": Status.ERROR.value}, str(error))
    return _verdict_of(results)


def _verdict_of(results: Sequence[CellResult]) -> CommitVerdict:
    ordered = sorted(results, key=lambda result: _ORDER.index(result.status))
    claims = {result.cell.claim: Status.SKIP.value for result in results}
    claims |= {result.cell.claim: result.status.value for result in reversed(ordered)}
    reason = ""
    if ordered and ordered[0].status is not Status.PASS:
        first = ordered[0]
        reason = f"{first.cell.claim} {first.status.value}: {headline(first.detail)}"
    return CommitVerdict(claims, reason, sum(result.decided for result in results))


def _key(tree: Path, settings: Settings, fixup: Path | None) -> str | None:
    """Return a digest of what the verdict depends on; None when the tree has no identity."""
    identity = tree_identity(tree)
    if identity is None:
        return None
    patch = fixup.read_bytes() if fixup is not None and fixup.is_file() else b""
    parts = (
        _LAYOUT,
        harness_digest(catalogue().directory),
        identity,
        _untracked(tree),
        settings.run_arguments(),
        patch,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _untracked(tree: Path) -> str:
    """SHA-256 of the sources that git does not track: ``dir:`` reads them too."""
    patterns = ("*.c", "*.h", "Makefile", "Kbuild")
    listed = confined_git(tree, "ls-files", "--others", "-z", "--", *patterns)
    digest = hashlib.sha256()
    for name in sorted(listed.split(b"\0")):
        file = tree / os.fsdecode(name)
        if name and file.is_file():
            digest.update(name + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _load(cache: Cache, key: str | None) -> CommitVerdict | None:
    entry = cache.get(_KIND, key) if key is not None else None
    if entry is None:
        return None
    try:
        return CommitVerdict(**json.loads((entry / _FILE).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _store(cache: Cache, key: str, verdict: CommitVerdict) -> None:
    def fill(directory: Path) -> None:
        (directory / _FILE).write_text(json.dumps(asdict(verdict)), encoding="utf-8")

    cache.get_or_make(_KIND, key, fill)
