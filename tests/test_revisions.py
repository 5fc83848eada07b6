# SPDX-License-Identifier: MIT
"""Bisection and series, on a repository of an implementation that one commit breaks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import BuildError, UsageError
from harness.git import git
from harness.implementations.user import read_user_implementation
from harness.revisions.bisect import bisect
from harness.revisions.fixup import fixup_applied
from harness.revisions.series import series_verdicts
from harness.revisions.verdicts import (
    CommitVerdict,
    _untracked,
    _verdict_of,
    commit_verdict,
    runs_needed,
)
from harness.revisions.worktree import settings_in_tree
from harness.settings import Settings
from harness.verdict import Cell, CellResult, Status
from tests.test_cli import Invoke, invoke
from tests.test_user_implementation import CONSTANT_CLASS, CORRECT_FREE, copy_class

__all__ = ["invoke"]  # the fixture

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b")
GOOD = CommitVerdict({"R1": "PASS"}, "", 1)
BAD = CommitVerdict({"R1": "FAIL"}, "seen", 1)
NONE = CommitVerdict({"R1": "ERROR"}, "does not build", 0)
STALE = ("if (!has_defect(DEFECT_STALE_TAIL))", "if (0)")


class Repository:
    """A repository whose commits are made one change at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        git(path, "init", "--quiet", "--initial-branch=main")

    def commit(self, title: str, **files: str) -> str:
        for name, text in files.items():
            (self.path / f"{name}.c").write_text(text)
        git(self.path, "add", "--all")
        git(self.path, *IDENTITY, "commit", "--quiet", "--allow-empty", "-m", title)
        return git(self.path, "rev-parse", "HEAD").strip()

    def state(self) -> str:
        return git(self.path, "status", "--porcelain", "--branch") + git(
            self.path, "rev-parse", "HEAD"
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """An empty repository."""
    return Repository(tmp_path / "repository")


@pytest.fixture
def tsm_repository(repository: Repository) -> tuple[Repository, list[str]]:
    """Our class implementation in five commits, of which the fourth leaves a stale tail."""
    copy_class(repository.path / "tsm", changes=CORRECT_FREE | CONSTANT_CLASS)
    commits = [repository.commit("tsm: add the implementation")]
    attributes = repository.path / "tsm" / "attributes.c"
    for title, old, new in (
        ("tsm: add a comment", "/* SPDX", "/* A comment. */\n/* SPDX"),
        ("tsm: add another comment", "/* SPDX", "/* Another. */\n/* SPDX"),
        ("tsm: save a memset", *STALE),
        ("tsm: add the last comment", "/* SPDX", "/* The last one. */\n/* SPDX"),
    ):
        file = attributes if old in attributes.read_text() else repository.path / "tsm/state.h"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
        commits.append(repository.commit(title))
    return repository, commits


def by_content(tree: Path) -> CommitVerdict:
    """Take the verdict from the content of the file a.c, in place of a run."""
    return {"good": GOOD, "bad": BAD}.get((tree / "a.c").read_text(), NONE)


def test_the_first_bad_commit_is_found_and_nothing_is_left(
    repository: Repository, tmp_path: Path
) -> None:
    commits = [repository.commit(f"c{n}", a="good" if n < 6 else "bad", b=str(n)) for n in range(9)]
    (repository.path / "b.c").write_text("work in progress")
    before = repository.state()
    found = bisect(repository.path, commits[0], "HEAD", tmp_path, by_content)
    assert found.first_bad == commits[6]
    assert len(found.tested) <= 6
    assert repository.state() == before
    assert (repository.path / "b.c").read_text() == "work in progress"
    assert git(repository.path, "worktree", "list").count("\n") == 1


def test_a_commit_without_a_verdict_is_skipped(repository: Repository, tmp_path: Path) -> None:
    texts = ["good", "good", "broken", "broken", "bad", "bad"]
    commits = [repository.commit(f"c{n}", a=text, b=str(n)) for n, text in enumerate(texts)]
    found = bisect(repository.path, commits[0], commits[-1], tmp_path, by_content)
    assert found.first_bad == ""
    assert set(found.suspects) >= set(commits[2:5])
    assert commits[5] not in found.suspects


@pytest.mark.parametrize(("good", "bad"), [("bad", "bad"), ("good", "good"), ("broken", "bad")])
def test_an_end_with_another_verdict_is_refused(
    repository: Repository, tmp_path: Path, good: str, bad: str
) -> None:
    first = repository.commit("first", a=good, b="1")
    repository.commit("last", a=bad, b="2")
    with pytest.raises(UsageError, match="was given as"):
        bisect(repository.path, first, "HEAD", tmp_path, by_content)


def test_a_fixup_is_applied_where_it_is_needed_and_reverted(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit("one", a="1\n2\n3\n")
    repository.commit("two", a="1\ntwo\n3\n")
    patch = tmp_path / "fixup.patch"
    patch.write_text(git(repository.path, "diff", "HEAD^", "HEAD"))
    with fixup_applied(repository.path, patch):  # it is there already
        assert (repository.path / "a.c").read_text() == "1\ntwo\n3\n"
    git(repository.path, "checkout", "--quiet", "HEAD^")
    with pytest.raises(RuntimeError), fixup_applied(repository.path, patch):
        assert (repository.path / "a.c").read_text() == "1\ntwo\n3\n"
        raise RuntimeError
    assert (repository.path / "a.c").read_text() == "1\n2\n3\n"
    (repository.path / "a.c").write_text("other\n")
    with (
        pytest.raises(BuildError, match=r"fixup\.patch does not apply"),
        fixup_applied(repository.path, patch),
    ):
        pass


def _result(claim: str, status: str) -> CellResult:
    cell = Cell(claim, "test_it", "6.12", "mainline", "sev-snp")
    return CellResult(cell, Status(status), Status.PASS, 0.1, status)


def test_exit_status_of_a_commit() -> None:
    def status(*verdicts: str) -> int:
        return _verdict_of([_result(f"C{n}", v) for n, v in enumerate(verdicts)]).exit_status

    assert status("PASS", "PASS", "SKIP") == 0
    assert status("PASS", "ERROR", "FAIL") == 1
    for undecided in (("PASS", "ERROR"), ("PASS", "MISS"), ("SKIP",), ()):
        assert status(*undecided) == 125


def test_the_worst_of_several_runs_counts() -> None:
    verdict = _verdict_of([_result("R1", status) for status in ("PASS", "FAIL", "PASS")])
    assert (verdict.claims, verdict.runs, verdict.reason) == (
        {"R1": "FAIL"},
        3,
        "R1 FAIL: FAIL",
    )


@pytest.mark.parametrize(
    ("rate", "confidence", "runs"),
    [(1.0, 0.99, 1), (0.5, 0.99, 7), (0.1, 0.99, 44), (0.1, 0.9, 22)],
)
def test_runs_needed(rate: float, confidence: float, runs: int) -> None:
    assert runs_needed(rate, confidence) == runs
    assert (1 - rate) ** runs <= 1 - confidence


def test_a_child_that_dies_leaves_no_verdict(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.commit("one", a="1")
    settings = Settings(claims=("R1",), cache=tmp_path / "cache")
    for deadly in ("kill -9 $$", "exit 130", "exit 0", "echo junk > ${@: -2:1}"):
        (tmp_path / "python").write_text(f"#!/bin/bash\n{deadly}\n")
        (tmp_path / "python").chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
        verdict = commit_verdict(repository.path, settings)
        assert verdict.exit_status == 125
        assert "without a run report" in verdict.reason


def test_a_series_gets_a_verdict_for_each_patch(
    tsm_repository: tuple[Repository, list[str]], tmp_path: Path
) -> None:
    repository, commits = tsm_repository
    patches = tmp_path / "patches"
    git(repository.path, "format-patch", "--quiet", "-o", str(patches), commits[0])
    seen: list[str] = []

    def decide(tree: Path) -> CommitVerdict:
        text = (tree / "tsm/attributes.c").read_text()
        seen.append(git(tree, "log", "-1", "--format=%s").strip())
        return BAD if STALE[1] in text else GOOD

    git(repository.path, "checkout", "--quiet", commits[0])
    before = repository.state()
    rows = series_verdicts(repository.path, "HEAD", patches, tmp_path, decide)
    assert [verdict.exit_status for _, verdict in rows] == [0, 0, 0, 1, 1]
    assert seen[3] == "tsm: save a memset"
    assert repository.state() == before


def test_a_series_that_does_not_apply(repository: Repository, tmp_path: Path) -> None:
    repository.commit("one", a="1\n")
    (tmp_path / "0001.patch").write_text("From nobody\nSubject: x\n\n---\nno patch\n")
    with pytest.raises(UsageError, match="does not apply") as caught:
        series_verdicts(repository.path, "HEAD", tmp_path / "0001.patch", tmp_path, by_content)
    assert "--base" in caught.value.hint
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"has no \*\.patch"):
        series_verdicts(repository.path, "HEAD", tmp_path / "empty", tmp_path, by_content)


def test_the_command_finds_the_commit_and_caches_verdicts(
    tsm_repository: tuple[Repository, list[str]], invoke: Invoke
) -> None:
    repository, commits = tsm_repository
    arguments = [
        "bisect",
        "T3",
        "--tsm",
        "dir:tsm",
        "--repository",
        str(repository.path),
        "-n",
        "1",
    ]
    done = invoke(*arguments, "--good", commits[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{commits[3]} is the first bad commit" in done.stdout
    assert "tsm: save a memset: bad: T3 FAIL: behind a nonce of 32 bytes" in done.stdout
    again = invoke(*arguments, "--good", commits[0])
    assert again.stdout.count("(cached)") == done.stdout.count(": bad") + done.stdout.count(
        ": good"
    )


def test_git_bisect_run_understands_the_status(
    tsm_repository: tuple[Repository, list[str]], invoke: Invoke
) -> None:
    repository, commits = tsm_repository
    assert invoke("--version").returncode == 0
    environment = os.environ | {"GIT_PAGER": "cat"}
    git(repository.path, "bisect", "start", commits[4], commits[0])
    command = [sys.executable, "-m", "harness", "bisect", "T3", "--tsm", "dir:tsm", "-n", "1"]
    done = subprocess.run(
        ["git", "bisect", "run", *command],
        cwd=repository.path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"{commits[3]} is the first bad commit" in done.stdout, done.stdout + done.stderr


def test_wrong_usage_is_no_bad_commit(repository: Repository, invoke: Invoke) -> None:
    commits = [repository.commit(f"c{n}", a=str(n)) for n in range(4)]
    command = [sys.executable, "-m", "harness", "bisect", "X9"]
    git(repository.path, "bisect", "start", commits[3], commits[0])
    done = subprocess.run(command, cwd=repository.path, capture_output=True, text=True, check=False)
    assert done.returncode == 125
    assert "unknown claim" in done.stderr
    git(repository.path, "bisect", "reset")
    done = subprocess.run(command, cwd=repository.path, capture_output=True, text=True, check=False)
    assert done.returncode == 2


def hostile(repository: Path) -> None:
    """Configure what makes git run programs, ask for a key, or change what it writes."""
    hooks = repository.parent / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "pre-applypatch", "applypatch-msg", "pre-commit"):
        (hooks / name).write_text("#!/bin/sh\necho hook >&2\nexit 1\n")
        (hooks / name).chmod(0o755)
    for name, value in {
        "core.hooksPath": str(hooks),
        "commit.gpgSign": "true",
        "gpg.program": "/bin/false",
        "apply.whitespace": "error",
        "log.showSignature": "true",
        "color.ui": "always",
        "core.fsmonitor": "/bin/false",
    }.items():
        git(repository, "config", name, value)


def test_settings_of_the_user_have_no_effect(repository: Repository, tmp_path: Path) -> None:
    commits = [
        repository.commit(f"c{n}", a="good" if n < 2 else "bad", b=f"{n} \n") for n in range(4)
    ]
    patches = tmp_path / "patches"
    git(repository.path, "format-patch", "--quiet", "-o", str(patches), commits[0])
    hostile(repository.path)
    found = bisect(repository.path, commits[0], "HEAD", tmp_path / "one", by_content)
    assert found.first_bad == commits[2]
    rows = series_verdicts(repository.path, commits[0], patches, tmp_path / "two", by_content)
    assert [verdict.exit_status for _, verdict in rows] == [0, 0, 1, 1]


@pytest.mark.parametrize("revision", ["nowhere", "--all", "HEAD:a.c", "a\nb"])
def test_a_revision_that_is_none_is_said(
    revision: str, repository: Repository, tmp_path: Path
) -> None:
    repository.commit("one", a="good")
    with pytest.raises(UsageError, match="has no commit ") as caught:
        bisect(repository.path, revision, "HEAD", tmp_path, by_content)
    assert ascii(revision) in str(caught.value)
    with pytest.raises(UsageError, match="has no commit "):
        series_verdicts(repository.path, revision, tmp_path, tmp_path, by_content)


def test_ends_of_other_histories_are_refused(repository: Repository, tmp_path: Path) -> None:
    first = repository.commit("one", a="good")
    last = repository.commit("two", a="bad")
    with pytest.raises(UsageError, match="is no ancestor of the bad commit"):
        bisect(repository.path, last, first, tmp_path, by_content)


def test_a_repository_of_another_user_is_no_bad_commit(
    repository: Repository, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repository.commit("one", a="1")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    arguments = ("--tsm", "dir:tsm", "--repository", str(repository.path))
    done = invoke("bisect", "T3", *arguments, "--good", first)
    assert done.returncode == 125, done.stderr
    error = " ".join(done.stderr.split())
    assert "belongs to another user: fatal: detected dubious ownership" in error
    assert f"git config --global --add safe.directory {repository.path}" in error


def test_a_directory_is_followed_when_the_code_moves(tmp_path: Path) -> None:
    settings = Settings(tsms=("dir:drivers/virt/coco/guest", "mainline"))
    assert settings_in_tree(tmp_path, settings).tsms == ("dir:drivers/virt/coco", "mainline")
    (tmp_path / "drivers/virt/coco/guest").mkdir(parents=True)
    assert settings_in_tree(tmp_path, settings) == settings


SMALL = Path(__file__).parent / "data" / "implementation"


@pytest.mark.parametrize("named", ["drivers/virt/coco", "drivers/virt/coco/guest"])
def test_a_bisection_follows_the_move(named: str, repository: Repository, tmp_path: Path) -> None:
    coco = repository.path / "drivers/virt/coco"
    (coco / "guest").mkdir(parents=True)
    shutil.copytree(SMALL / "include", repository.path / "include")
    code = (SMALL / "tsm.c").read_text()
    (coco / "tsm.c").write_text(code)
    (coco / "Makefile").write_text("obj-$(CONFIG_TSM_REPORTS) += tsm.o\n")
    good = repository.commit("coco: reports")
    (coco / "tsm.c").rename(coco / "guest/report.c")
    (coco / "Makefile").write_text("obj-$(CONFIG_TSM_GUEST) += guest/\n")
    (coco / "guest/Makefile").write_text(
        "obj-$(CONFIG_TSM_REPORTS) += tsm_report.o\ntsm_report-y := report.o\n"
    )
    repository.commit("coco: move reports")
    (coco / "guest/report.c").write_text(code.replace("memset", "(void)"))
    bad = repository.commit("coco: save a memset")
    seen: list[str] = []

    def decide(tree: Path) -> CommitVerdict:
        [tsm] = settings_in_tree(tree, Settings(tsms=(f"dir:{named}",))).tsms
        files = read_user_implementation(f"dir:{tree / tsm.removeprefix('dir:')}").files
        [(name, text)] = [each for each in files if each[0].endswith(".c")]
        seen.append(name)
        return GOOD if "memset" in text else BAD

    found = bisect(repository.path, good, "HEAD", tmp_path, decide)
    assert found.first_bad == bad
    assert set(seen) == {"tsm.c", "report.c"}


def test_a_commit_that_does_not_build_has_no_verdict(
    repository: Repository, invoke: Invoke
) -> None:
    shutil.copytree(SMALL, repository.path / "tsm")
    with (repository.path / "tsm/tsm.c").open("a") as file:
        file.write("\nthis does not compile\n")
    repository.commit("tsm: break the build")
    arguments = ("--tsm", "dir:tsm", "--repository", str(repository.path), "-n", "1")
    done = invoke("bisect", "T3", *arguments)
    assert done.returncode == 125, done.stdout + done.stderr
    assert "no verdict: T3 ERROR: tsm.c:" in done.stdout
    assert "unknown type name 'this'" in done.stdout


def test_each_commit_has_its_evidence(
    tsm_repository: tuple[Repository, list[str]], invoke: Invoke, tmp_path: Path
) -> None:
    repository, commits = tsm_repository
    patches = tmp_path / "patches"
    git(repository.path, "format-patch", "--quiet", "-o", str(patches), commits[0])
    arguments = ("--tsm", "dir:tsm", "--repository", str(repository.path), "-n", "1")
    places = ("--base", commits[0], "--artifacts", "evidence")
    for _ in range(2):  # the second time, verdicts are cached and the evidence is missing
        done = invoke("series", str(patches), "T3", *arguments, *places)
        assert done.returncode == 1, done.stdout + done.stderr
        recorded = sorted((tmp_path / "evidence").glob("*/T3_*/verdict.json"))
        assert len({path.parent.parent.name for path in recorded}) == 2, done.stdout
        shutil.rmtree(tmp_path / "evidence")


def test_a_source_that_git_does_not_track_changes_the_verdict(
    repository: Repository, tmp_path: Path
) -> None:
    repository.commit("one", a="1")
    before = _untracked(repository.path)
    (repository.path / "note.txt").write_text("no source")
    assert _untracked(repository.path) == before
    (repository.path / "new.c").write_text("int new;\n")
    assert _untracked(repository.path) != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bisect", "X9"], "unknown claim"),
        (["bisect", "R1", "--good", "HEAD", "--tsm", "dir:x"], "is not in a git repository"),
        (["bisect", "R1"], "neither --kernel nor --tsm names a part of it"),
        (["bisect", "R1", "--tsm", "class-fixed", "--good", "HEAD"], "--tsm dir:drivers/virt/coco"),
        (["bisect", "R1", "--tsm", "dir:/x", "--good", "HEAD"], "/x is the same for every commit"),
        (["series", "/etc/hostname", "R1"], "series tests what is in the working tree"),
        (["bisect", "R1", "--rate", "0"], "--rate"),
        (["series", "/nowhere"], "does not exist"),
    ],
)
def test_usage(invoke: Callable[..., subprocess.CompletedProcess[str]], arguments: list[str],
               message: str) -> None:  # fmt: skip
    done = invoke(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
