# SPDX-License-Identifier: MIT
"""Every way a scenario can end, each with the verdict it must give: run for real in guests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.settings import DEFAULT_KERNEL
from harness.workbench import Workbench

_HEAD = """
import errno
import os
import signal
from harness.claims import claim
from harness.errors import HarnessError
from harness.oracle.expect import demand, raises_errno
from harness.oracle.patterns import ReportKind
from providers_sim.provider import Provider
"""

_SCENARIOS = {
    "ends_well": ("PASS", """
@claim("R1")
def test_it(report, nonce, kernel_log):
    report.write_inblob(nonce())
    report.read_outblob()
    kernel_log.assert_clean()
"""),
    "demand_fails": ("FAIL", """
@claim("R1")
def test_it(report):
    demand(report.generation() == 77, "the generation is not 77")
"""),
    "plain_assert_fails": ("FAIL", """
@claim("R1")
def test_it(report):
    assert report.generation() == 77
"""),
    "call_fails_unasked": ("FAIL", """
@claim("R1")
def test_it(report):
    report.read_outblob()
"""),
    "wrong_errno": ("FAIL", """
@claim("R1")
def test_it(report):
    with raises_errno(errno.EIO):
        report.read_outblob()
"""),
    "skipped": ("SKIP", """
import pytest
@claim("R1")
def test_it(report):
    pytest.skip("not for this surface")
"""),
    "author_is_wrong": ("ERROR", """
@claim("R1")
def test_it(report):
    report.write_inblob(1, 2, 3)
"""),
    "emulator_killed": ("ERROR", """
@claim("R1")
def test_it(report, guest):
    os.kill(guest.machine.pid, signal.SIGKILL)
    report.generation()
"""),
    "emulator_killed_and_swallowed": ("ERROR", """
@claim("R1")
def test_it(report, guest):
    os.kill(guest.machine.pid, signal.SIGKILL)
"""),
    "guest_stopped": ("ERROR", """
from dataclasses import replace
@claim("R1")
def test_it(report, guest):
    guest.patience = replace(guest.patience, scale=0.05)
    guest.machine.monitor(seconds=10).execute("stop")
    report.generation()
"""),
    "kernel_panics": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    guest.actors[1].write_file("/proc/sysrq-trigger", b"c")
"""),
    "guest_resets_without_a_word": ("ERROR", """
@claim("R1")
def test_it(report, guest):
    guest.machine.monitor(seconds=10).execute("system_reset")
    report.generation()
"""),
    "provider_breaks": ("ERROR", """
@claim("R1")
def test_it(report, provider, nonce):
    def broken(request):
        raise ZeroDivisionError("a bug in the provider")
    provider.provider.report = broken
    report.write_inblob(nonce())
    report.read_outblob()
"""),
    "expected_report_does_not_come": ("FAIL", """
@claim("R1")
def test_it(report, kernel_log):
    with kernel_log.expect(ReportKind.SLUB):
        report.generation()
"""),
    "bytes_nobody_issued": ("FAIL", """
@claim("R1")
def test_it(report, provider, nonce):
    report.write_inblob(nonce())
    report.read_outblob()
    read = report.outblob.history.reads.pop()
    from dataclasses import replace
    altered = replace(read, data=read.data[:100] + b"k" + read.data[101:])
    report.outblob.history.reads.append(altered)
"""),
}  # fmt: skip


def _run(tmp_path: Path, body: str, tsm: str, workbench: Workbench) -> tuple[int, dict[str, Any]]:
    file = tmp_path / "test_scenario.py"
    file.write_text(_HEAD + body, encoding="utf-8")
    command = [
        sys.executable, "-m", "pytest", str(file), "-p", "harness.plugin", "-q",
        f"--rootdir={tmp_path}", "-c", os.devnull, f"--kernel={DEFAULT_KERNEL}", f"--tsm={tsm}",
        f"--artifacts={tmp_path / 'artifacts'}", f"--cache={workbench.cache.root}",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    verdicts = list((tmp_path / "artifacts").glob("*/verdict.json"))
    verdict = json.loads(verdicts[0].read_bytes()) if verdicts else {}
    verdict["output"] = done.stdout + done.stderr
    return done.returncode, verdict


@pytest.mark.parametrize("name", _SCENARIOS)
def test_verdict(name: str, tmp_path: Path, workbench: Workbench) -> None:
    expected, body = _SCENARIOS[name]
    workbench.template(DEFAULT_KERNEL, "revised")
    code, verdict = _run(tmp_path, body, "revised", workbench)
    if expected in ("PASS", "SKIP"):
        assert code == 0, verdict["output"]
        assert ("1 skipped" if expected == "SKIP" else "1 passed") in verdict["output"]
        return
    assert verdict.get("status") == expected, verdict["output"]
    assert verdict["detail"]
