# SPDX-License-Identifier: MIT
"""The verdict on a working tree: good, bad, or none.

It is reached in a process of its own, so that whatever dies there costs this verdict only.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness.cache import Cache
from harness.errors import TsmHarnessError
from harness.identity import harness_digest
from harness.kernels.kbuild import tree_identity
from harness.paths import cache_directory
from harness.revisions.fixup import fixed_up
from harness.settings import Settings
from harness.verdict import (
    EXIT_AS_EXPECTED,
    EXIT_NO_VERDICT,
    EXIT_UNEXPECTED,
    Status,
    headline,
)

__all__ = ["Judgement", "judge", "runs_needed"]

_LAYOUT = "1"
_ORDER = (Status.FAIL, Status.ERROR, Status.MISS, Status.PASS, Status.SKIP)


@dataclass(frozen=True)
class Judgement:
    """What is known of a working tree: the worst verdict of each claim, and the first words of it.

    ``runs`` counts what was decided. ``remembered``: the same tree had been judged before.
    """

    claims: dict[str, str] = field(default_factory=dict)
    words: str = ""
    runs: int = 0
    remembered: bool = False

    @property
    def status(self) -> int:
        """For ``git bisect run``: 0 good, 1 bad, 125 cannot tell."""
        verdicts = set(self.claims.values())
        if Status.FAIL.value in verdicts:
            return EXIT_UNEXPECTED
        undecided = {Status.ERROR.value, Status.MISS.value}
        if undecided & verdicts or Status.PASS.value not in verdicts:
            return EXIT_NO_VERDICT
        return EXIT_AS_EXPECTED

    def __str__(self) -> str:
        meaning = {EXIT_AS_EXPECTED: "good", EXIT_UNEXPECTED: "bad"}
        said = meaning.get(self.status, "cannot tell")
        return f"{said}: {self.words}" if self.words else said


def runs_needed(rate: float, confidence: float) -> int:
    """How often a defect that shows in ``rate`` of the runs must stay away to be taken as absent.

    With so many runs it would have stayed unseen with a probability of 1 - ``confidence``.
    """
    return max(1, math.ceil(math.log(1 - confidence) / math.log(1 - rate))) if rate < 1 else 1


def judge(
    directory: Path, settings: Settings, *, workers: int = 0, fixup: Path | None = None
) -> Judgement:
    """Judge what ``directory`` holds; paths in the settings are relative to it.

    Never raises for what goes wrong on the way: then there is no verdict, and words that say why.
    """
    cache = Cache(cache_directory(settings.cache))
    key = _key(directory, settings, fixup)
    remembered = _remembered(cache, key)
    if remembered is not None:
        return replace(remembered, remembered=True)
    try:
        with fixed_up(directory, fixup):
            judgement = _run(directory, settings, workers)
    except TsmHarnessError as error:
        return Judgement({"": Status.ERROR.value}, str(error))
    if key and judgement.status != EXIT_NO_VERDICT:
        _remember(cache, key, judgement)
    return judgement


def _run(directory: Path, settings: Settings, workers: int) -> Judgement:
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.json"
        words = replace(settings, cache=cache_directory(settings.cache)).run_arguments()
        # -P: a directory of the tree that happens to be called harness is not the harness.
        command = [sys.executable, "-P", "-m", "harness", "run", *words, f"--json={report}"]
        command += [f"-n{workers}"]
        done = subprocess.run(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None,
            check=False,
        )
        try:
            cells = json.loads(report.read_bytes())["cells"]
        except (OSError, ValueError, KeyError):
            how = f"ended with status {done.returncode} and no report"
            return Judgement({"": Status.ERROR.value}, f"the run {how}")
    return _judgement(cells)


def _judgement(cells: Sequence[Mapping[str, str]]) -> Judgement:
    places = {status.value: place for place, status in enumerate(_ORDER)}
    ordered = sorted(cells, key=lambda cell: places[cell["status"]])
    claims: dict[str, str] = {}
    for cell in cells:
        claims.setdefault(cell["claim"], Status.SKIP.value)
    for cell in reversed(ordered):
        claims[cell["claim"]] = cell["status"]
    decided = [c for c in cells if c["status"] in (Status.PASS.value, Status.FAIL.value)]
    first = ordered[0] if ordered else None
    words = ""
    if first is not None and first["status"] != Status.PASS.value:
        words = f"{first['claim']} {first['status']}: {headline(first['detail'])}"
    return Judgement(claims, words, len(decided))


def _key(directory: Path, settings: Settings, fixup: Path | None) -> str | None:
    """What the verdict depends on; None where the tree cannot be told from another."""
    tree = tree_identity(directory)
    if tree is None:
        return None
    patch = fixup.read_bytes() if fixup is not None and fixup.is_file() else b""
    words = (_LAYOUT, harness_digest(), tree, settings.run_arguments(), patch)
    return hashlib.sha256(repr(words).encode()).hexdigest()


def _remembered(cache: Cache, key: str | None) -> Judgement | None:
    if key is None or not cache.has("verdict", key):
        return None
    try:
        path = cache.root / "verdict" / key / "judgement.json"
        return Judgement(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _remember(cache: Cache, key: str, judgement: Judgement) -> None:
    def store(directory: Path) -> None:
        text = json.dumps(asdict(judgement))
        (directory / "judgement.json").write_text(text, encoding="utf-8")

    cache.get_or_make("verdict", key, store)
