# SPDX-License-Identifier: MIT
"""Matrix files: their jobs, all or pairwise, and the formats for CI systems."""

from __future__ import annotations

import json
import shlex
from itertools import combinations
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.matrix.ci import github, gitlab
from harness.matrix.file import AXES, Matrix, read_matrix
from harness.matrix.jobs import Job, jobs_of, jobs_of_settings
from harness.settings import Settings
from tests.test_cli import Invoke, invoke

__all__ = ["invoke"]  # the fixture

WHOLE = """
kernels = ["debian:6.12", "debian:7.3"]
tsm = ["class-posted", "class-fixed", "mainline"]
providers = ["sev-snp", "tdx:version=5", "cove"]
claims = ["R1", ["J1", "J2"]]
seeds = [0, 1]
[[exclude]]
kernel = "debian:7.3"
tsm = "class-posted"
[[exclude]]
claims = ["J1", "J2"]
provider = "cove"
"""


@pytest.fixture
def whole(tmp_path: Path) -> Matrix:
    """Five axes, with two combinations excluded."""
    return read_matrix(_file(tmp_path, WHOLE))


def _file(directory: Path, text: str) -> Path:
    path = directory / "matrix.toml"
    path.write_text(text)
    return path


def _pairs(job: Job) -> set[tuple[tuple[str, object], ...]]:
    return set(combinations([(name, getattr(job, name)) for name in AXES], 2))


def test_whole(whole: Matrix) -> None:
    jobs = jobs_of(whole, Settings())
    assert len(set(jobs)) == len(jobs) == (2 * 3 - 1) * (3 * 2 - 1) * 2
    assert not [job for job in jobs if job.kernel == "debian:7.3" and job.tsm == "class-posted"]
    assert not [job for job in jobs if job.provider == "cove" and job.claims == ("J1", "J2")]


def test_pairwise_has_every_pair_in_few_jobs(whole: Matrix) -> None:
    every = jobs_of(whole, Settings())
    few = jobs_of(Matrix(whole.axes, whole.exclude, pairwise=True), Settings())
    assert set(few) <= set(every)
    assert len(few) < len(every) / 3
    assert set().union(*map(_pairs, few)) == set().union(*map(_pairs, every))


def test_an_empty_file_is_the_main_job(tmp_path: Path) -> None:
    jobs = jobs_of(read_matrix(_file(tmp_path, "")), Settings())
    assert [job.tsm for job in jobs] == list(Settings().tsms)
    assert {job.claims for job in jobs} == {()}


def test_pairwise_of_one_axis(tmp_path: Path) -> None:
    matrix = read_matrix(
        _file(tmp_path, "pairwise = true\nseeds = [1, 2, 3]\ntsm = ['class-fixed']")
    )
    assert [job.seed for job in jobs_of(matrix, Settings())] == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kernels = ", "is not TOML"),
        ("kernel = ['debian:6.12']", "unknown key kernel"),
        ("tsm = []", r"tsm is \[\]"),
        ("tsm = 'class-fixed'", "tsm is 'class-fixed'"),
        ("tsm = [1]", "has 1, which is not a text"),
        ("seeds = ['1']", "the seed '1' is not an integer"),
        ("seeds = [true]", "the seed True is not an integer"),
        ("claims = [['R1', 2]]", "has 2, which is not a text"),
        ("pairwise = 1", "pairwise is 1"),
        ("exclude = [1]", "not a list of tables"),
        ("[[exclude]]\ncolour = 'red'", "unknown key colour"),
        ("[[exclude]]\nprovider = 'sev-snp'", "every one is excluded"),
        ("tsm = ['nobody']", "nobody"),
        ("claims = ['X9']", "unknown claim"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        jobs_of(read_matrix(_file(tmp_path, text)), Settings())


def test_jobs_of_the_main_job_cover_every_claim_once() -> None:
    jobs = jobs_of_settings(Settings(tsms=("class-fixed",)))
    claims = [claim for job in jobs for claim in job.claims]
    assert len(claims) == len(set(claims)) > 30
    assert max(len(job.claims) for job in jobs) <= 8


def test_github(whole: Matrix) -> None:
    jobs = jobs_of(whole, Settings())
    text = github(jobs)
    assert "\n" not in text
    include = json.loads(text)["include"]
    assert len({entry["name"] for entry in include}) == len(jobs)
    assert shlex.split(include[0]["arguments"])[:2] == ["R1", "--kernel=debian:6.12"]


def test_gitlab(whole: Matrix) -> None:
    pipeline = json.loads(gitlab(jobs_of(whole, Settings())))
    [(name, job)] = pipeline.items()
    assert name == "tsm-harness"
    assert all(isinstance(each["ARGUMENTS"], str) for each in job["parallel"]["matrix"])


def test_limits() -> None:
    jobs = [Job("debian:6.12", "class-fixed", "sev-snp", (), seed) for seed in range(257)]
    github(jobs[:256])
    gitlab(jobs[:200])
    with pytest.raises(UsageError, match="has 257 jobs; GitHub accepts 256"):
        github(jobs)
    with pytest.raises(UsageError, match="has 201 jobs; GitLab accepts 200"):
        gitlab(jobs[:201])
    long = [Job("x" * 5000, "class-fixed", "sev-snp", (), seed) for seed in range(250)]
    with pytest.raises(UsageError, match="bytes; GitHub accepts"):
        github(long)


def test_commands(invoke: Invoke, tmp_path: Path) -> None:
    file = _file(tmp_path, "claims = ['R1', 'T3']\ntsm = ['class-posted', 'class-fixed']")
    printed = invoke("matrix", str(file))
    assert printed.returncode == 0
    assert printed.stdout.count("tsm-harness run R1 --kernel=debian:6.12") == 2
    done = invoke("run", "--matrix", str(file), "--json", "out.json", "-n", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    both = invoke("run", "R1", "--matrix", str(file))
    assert both.returncode == 2
    assert "--matrix cannot be combined with claims" in both.stderr
