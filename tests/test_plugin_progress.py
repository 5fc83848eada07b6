# SPDX-License-Identifier: MIT
"""An ordinary pytest run shows what the harness prepares, although pytest captures output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_TEST = """
import sys
from harness.plugin.stash import SESSION

def test_one(pytestconfig):
    print("captured output")
    with pytestconfig.stash[SESSION].progress.step("preparing something"):
        print("captured error", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("options", "shown"),
    [((), True), (("-v",), True), (("-s",), True), (("-q",), False), (("-n1",), False)],
)
def test_steps_are_shown_while_pytest_captures(
    tmp_path: Path, options: tuple[str, ...], shown: bool
) -> None:
    (tmp_path / "test_one.py").write_text(_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_one.py", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("preparing something ..." in done.stderr) == shown
    assert ("captured output" in done.stdout) == ("-s" in options)
    assert ("captured error" in done.stderr) == ("-s" in options)
