# SPDX-License-Identifier: MIT
"""A run in whose cache one file of every kind is damaged: it makes each again, and decides."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.session import Session
from tests.caches import copy_used_cache
from tests.test_cache_damage import flip, replace_by_directory

_TSM = "class-fixed"
_Files = dict[str, tuple[str, Callable[[Path], object]]]
_INPUTS: _Files = {
    "kernel": ("kernel/*/boot/vmlinuz-*", lambda file: os.truncate(file, 1000)),
    "modules": ("modules/*/tsm-sim.ko", lambda file: os.truncate(file, 0)),
    "agent": ("agent/*/agent", Path.unlink),
    "ssh": ("ssh/*/host", flip),
    "pki": ("pki/*-ark/key", lambda file: os.truncate(file, 10)),
    "newest kernel": ("apt/*/newest.json", replace_by_directory),
    "accelerator": ("accelerator.json", lambda file: file.write_text("null")),
}
_OUTPUTS: _Files = {  # of the same keys; other keys would give another image and template
    "initramfs": ("initramfs/*/initramfs.cpio", flip),
    "template": ("template/*/state", replace_by_directory),
}


@pytest.fixture
def cache(session: Session, tmp_path: Path) -> Path:
    """A copy of what one cell needs; where a kind has several entries, all that it may use."""
    return copy_used_cache(session, (_TSM,), tmp_path / "cache")


def _run(cache: Path, tmp_path: Path) -> str:
    """Decide T1; return the standard error."""
    report = tmp_path / "run.json"
    command = [sys.executable, "-m", "harness", "run", "T1", "--tsm", _TSM, "-n1"]
    command += [f"--cache={cache}", f"--json={report}", f"--artifacts={tmp_path / 'results'}"]
    command += [f"--history={tmp_path / 'history.db'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    statuses = [cell["status"] for cell in json.loads(report.read_bytes())["cells"]]
    assert set(statuses) == {"PASS"}
    return done.stderr


def test_every_kind_of_damaged_file_is_made_again(cache: Path, tmp_path: Path) -> None:
    _run(cache, tmp_path)  # seals what an earlier version may have made
    _damage(cache, _INPUTS)
    said = _run(cache, tmp_path)
    for kind in ("kernel", "modules", "agent", "ssh"):
        assert said.count(f"the cached {kind} ") == 1, said
    assert "the test PKI sev-snp-milan-0-ark is damaged" in said
    _damage(cache, _OUTPUTS)
    said = _run(cache, tmp_path)
    assert said.count("the cached initramfs ") == 1, said
    assert said.count("the cached template ") == 2, said
    assert "is damaged" not in _run(cache, tmp_path)


def _damage(cache: Path, files: _Files) -> None:
    for pattern, change in files.values():
        for file in cache.glob(pattern):
            change(file)


def test_verify_lists_and_repairs(cache: Path, tmp_path: Path) -> None:
    _run(cache, tmp_path)
    command = [sys.executable, "-m", "harness", "images", "verify", f"--cache={cache}"]
    good = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (good.returncode, "0 damaged" in good.stdout) == (0, True), good.stdout + good.stderr
    for file in cache.glob("initramfs/*/initramfs.cpio"):
        flip(file)
    next(cache.glob("pki/*-ark/complete")).write_text("{}}")
    bad = subprocess.run(command, capture_output=True, text=True, check=False)
    assert bad.returncode == 1
    assert "initramfs.cpio has other content" in bad.stdout
    assert "pki sev-snp-milan-0-ark" in bad.stdout
    fixed = subprocess.run([*command, "--repair"], capture_output=True, text=True, check=False)
    assert fixed.returncode == 1
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stdout
    assert "is damaged" not in _run(cache, tmp_path)
