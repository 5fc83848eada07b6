# SPDX-License-Identifier: MIT
"""The kernel's own implementation, brought as a directory, is judged as the kernel's own is."""

from __future__ import annotations

from pathlib import Path

from harness.kernels.kernel_source import kernel_source
from harness.progress import NullProgress
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from tests.test_cli import Invoke, invoke
from tests.test_user_implementation import verdicts

__all__ = ["invoke"]  # the fixture

STYLE = ("R1", "T4", "C2", "C6", "T1", "K2")
FAILED = ("T3", "F3")


def test_the_kernels_own_code_fails_for_no_matter_of_style(
    session: Session, invoke: Invoke, tmp_path: Path
) -> None:
    source = kernel_source(session.kernel(DEFAULT_KERNEL), session.cache, NullProgress())
    for name, text in source.files:
        target = tmp_path / "linux" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    tsm = f"dir:{tmp_path / 'linux/drivers/virt/coco'}"
    done = invoke("run", *STYLE, *FAILED, "--tsm", tsm, "--json", "out.json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Makefile: only its list of objects is used" in done.stdout
    assert verdicts(tmp_path) == dict.fromkeys(STYLE, "PASS") | dict.fromkeys(FAILED, "FAIL")
