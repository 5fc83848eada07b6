# SPDX-License-Identifier: MIT
"""Every fuzzing target succeeds a fixed number of times, and fuzzing finds a planted defect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.seeds import write_seeds
from tests.fuzz.targets import TARGETS

RUNS = {
    "stream": 4000,
    "resync": 4000,
    "messages": 20000,
    "session": 8000,
    "blobs": 3000,
    "mails": 2000,
}
ROOT = Path(__file__).parent.parent


def fuzz(target: str, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz", target, *options]
    limits = ["-seed=1", "-rss_limit_mb=1024", "-timeout=20", "-max_len=6000"]
    return subprocess.run(
        [*command, *limits, f"-artifact_prefix={tmp_path}/"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_target_does_not_fail(target: str, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_seeds(target, corpus)
    done = fuzz(target, tmp_path, str(corpus), f"-runs={RUNS[target]}")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr + done.stdout


def test_fuzzing_finds_a_planted_defect(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_seeds("stream", corpus)
    done = fuzz("planted", tmp_path, str(corpus), "-runs=200000")
    assert done.returncode != 0
    assert "the planted defect" in done.stdout + done.stderr
    assert list(tmp_path.glob("crash-*"))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_target_accepts_its_seeds(target: str, tmp_path: Path) -> None:
    write_seeds(target, tmp_path)
    seeds = sorted(tmp_path.iterdir())
    assert seeds
    for seed in seeds:
        TARGETS[target](seed.read_bytes())
