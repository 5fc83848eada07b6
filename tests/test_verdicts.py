# SPDX-License-Identifier: MIT
"""Every way a scenario can end, each with the verdict it must give: run for real in guests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from harness.session import Session
from harness.settings import DEFAULT_KERNEL

_HEAD = """
import errno
import os
import pytest
import signal
from dataclasses import replace
from harness.claims import claim
from harness.errors import HarnessError
from harness.oracle.expect import demand, raises_errno
from harness.detectors import SplatKind
from providers_sim.provider import Provider

def _kernel_report(guest):
    guest.log.feed([b"3,%d,1,-;BUG kmalloc-1k (Not tainted): Object already free"
                    % (guest.log.mark() + 1000)], 0)
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
    demand(report.read_generation() == 77, "the generation is not 77")
"""),
    "plain_assert_fails": ("FAIL", """
@claim("R1")
def test_it(report):
    assert report.read_generation() == 77
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
    pytest.skip("not for this interface")
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
    report.read_generation()
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
    guest.timeouts = replace(guest.timeouts, scale=0.05)
    guest.machine.monitor(seconds=10).execute("stop")
    report.read_generation()
"""),
    "kernel_panics": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    guest.actors[1].write_file("/proc/sysrq-trigger", b"c")
"""),
    "kernel_panics_and_stays": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    guest.timeouts = replace(guest.timeouts, scale=0.05)
    guest.actors[1].write_file("/proc/sys/kernel/panic", b"0")
    guest.actors[1].write_file("/proc/sysrq-trigger", b"c")
"""),
    "kernel_panics_in_setup": ("FAIL", """
@pytest.fixture
def prepared(report, guest):
    guest.actors[1].write_file("/proc/sysrq-trigger", b"c")
@claim("R1")
def test_it(prepared):
    pass
"""),
    "report_in_setup": ("FAIL", """
@pytest.fixture
def prepared(report, guest, provider, nonce):
    _kernel_report(guest)
    provider.wait_requests(99, timeout=0.1)
@claim("R1")
def test_it(prepared):
    pass
"""),
    "setup_fails": ("ERROR", """
@pytest.fixture
def prepared(report):
    report.read_outblob()
@claim("R1")
def test_it(prepared):
    pass
"""),
    "report_then_skip": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    _kernel_report(guest)
    pytest.skip("not for this interface")
"""),
    "pytest_fails": ("FAIL", """
@claim("R1")
def test_it(report):
    with pytest.raises(OSError):
        report.read_generation()
"""),
    "report_then_pytest_fails": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    _kernel_report(guest)
    pytest.fail("something")
"""),
    "guest_resets_without_a_word": ("ERROR", """
@claim("R1")
def test_it(report, guest):
    guest.machine.monitor(seconds=10).execute("system_reset")
    report.read_generation()
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
    with kernel_log.expect(SplatKind.SLUB):
        report.read_generation()
"""),
    "expected_report_and_harness_error": ("ERROR", """
@claim("R1")
def test_it(report, kernel_log):
    kernel_log.expect(SplatKind.SLUB)
    raise HarnessError("the disk of the host is full")
"""),
    "call_elsewhere_fails": ("ERROR", """
@claim("R1")
def test_it(report, actors):
    actors[1].read_file("/sys/kernel/no_such_file")
"""),
    "hosts_file_is_missing": ("ERROR", """
@claim("R1")
def test_it(report):
    with raises_errno(errno.EIO):
        open("/no/such/file")
"""),
    "actor_killed_instead_of_failing": ("ERROR", """
@claim("R1")
def test_it(report, provider, actors, nonce):
    report.write_inblob(nonce())
    with provider.hold() as gate:
        call = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        actors[1].kill()
        with raises_errno(errno.EIO):
            call.result()
"""),
    "actor_killed_instead_of_blocking": ("ERROR", """
@claim("R1")
def test_it(report, provider, actors, nonce):
    report.write_inblob(nonce())
    with provider.hold() as gate:
        call = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        actors[1].kill()
        actors[1].wait_until_dead()
        call.wait_until_blocked()
"""),
    "busy_actor_is_asked_again": ("ERROR", """
@claim("R1")
def test_it(report, provider, actors, nonce):
    report.write_inblob(nonce())
    with provider.hold() as gate:
        actors[1].start_read(report.outblob)
        gate.wait_for_request()
        actors[1].start_read(report.outblob).wait_until_blocked()
"""),
    "host_holds_a_reader_for_long": ("ERROR", """
import time
@claim("R1")
def test_it(report, provider, actors, nonce, guest):
    guest.actors[3].write_file("/proc/sys/kernel/hung_task_timeout_secs", b"1")
    report.write_inblob(nonce())
    mark = guest.log.mark()
    with provider.hold() as gate:
        first = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        second = actors[2].start_read(report.outblob)
        second.wait_until_blocked()
        while not guest.log.reports(mark) or provider.longest_answer_s < 5:
            time.sleep(0.05)  # the host is what is slow here
    assert first.result() == second.result()
"""),
    "attribute_that_this_guest_lacks": ("SKIP", """
@claim("R1")
def test_it(report):
    report.read("manifestblob")
"""),
    "attribute_that_no_interface_defines": ("ERROR", """
@claim("R1")
def test_it(report):
    report.outblop
"""),
    "written_attribute_that_no_interface_defines": ("ERROR", """
@claim("R1")
def test_it(report):
    report.write("privlevle", 3)
"""),
    "second_provider_after_a_first": ("PASS", """
@claim("R1")
def test_it(report, provider, guest, nonce):
    report.write_inblob(nonce())
    report.read_outblob()
    guest.attach(provider.provider)
"""),
    "content_counts_after_detaching": ("FAIL", """
from dataclasses import replace
@claim("R1")
def test_it(report, guest, nonce):
    report.write_inblob(nonce())
    report.read_outblob()
    reads = report.outblob.history.reads
    reads.append(replace(reads[-1], data=b"k" * 1184))
    guest.detach()
"""),
    "forgotten_reports_decide_nothing": ("ERROR", """
@claim("R1")
def test_it(report, provider, nonce):
    report.write_inblob(nonce())
    report.read_outblob()
    report.write_inblob(nonce())
    provider.fault("oversize", total=64 << 20)
    with raises_errno(errno.EMSGSIZE):
        report.read_outblob()
"""),
    "numbers_may_be_written_as_text": ("PASS", """
@claim("R1")
def test_it(report, nonce):
    report.write("privlevel", "0x1")
    report.write_inblob(nonce())
    report.read_outblob()
    report.write("privlevel", b"2\\n")
    report.read_outblob()
"""),
    "killed_writer_may_have_written": ("PASS", """
@claim("R1")
def test_it(report, provider, actors, nonce):
    report.write_inblob(nonce())
    with provider.hold() as gate:
        reading = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        actors[2].start_write(report.inblob, nonce()).wait_until_blocked()
        actors[2].kill()
    reading.result()
    actors[2].wait_until_dead()
    report.read_outblob()
"""),
    "clean_up_fails_after_a_fail": ("FAIL", """
@pytest.fixture
def noisy(guest):
    yield
    raise OSError("clean-up")
@claim("R1")
def test_it(noisy, report):
    demand(False, "nothing holds")
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


_COLLECTOR = """
import json
def pytest_runtest_logreport(report):
    for name, value in report.user_properties:
        if name == "tsm-harness" and report.when != "teardown":
            with open("verdicts", "a") as file:
                print(json.dumps([report.fspath, json.loads(value)]), file=file)
"""


def _verdicts(file: Path) -> dict[str, dict[str, Any]]:
    """Every verdict, by the name of its scenario."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {Path(path).stem.removeprefix("test_"): verdict for path, verdict in lines}


def test_every_ending_has_its_verdict(tmp_path: Path, session: Session) -> None:
    session.template(DEFAULT_KERNEL, "class-fixed")
    (tmp_path / "conftest.py").write_text(_COLLECTOR, encoding="utf-8")
    for name, (_, body) in _SCENARIOS.items():
        text = _HEAD + body.replace("test_it", f"test_{name}")
        (tmp_path / f"test_{name}.py").write_text(text, encoding="utf-8")
    command = [
        sys.executable, "-m", "pytest", str(tmp_path), "-p", "harness.plugin", "-q",
        f"--rootdir={tmp_path}", "-c", os.devnull, f"--tsm-kernel={DEFAULT_KERNEL}",
        "--tsm=class-fixed",
        f"--tsm-artifacts={tmp_path / 'artifacts'}", f"--tsm-cache={session.cache.root}",
        "-p", "no:cacheprovider",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path
    )
    verdicts = _verdicts(tmp_path / "verdicts")
    said = {name: verdict["status"] for name, verdict in verdicts.items()}
    # A clean-up that fails comes after the verdict, and whoever collects them weighs it.
    assert said == {name: status for name, (status, _) in _SCENARIOS.items()}, done.stdout
    untold = [name for name, verdict in verdicts.items()
              if verdict["status"] in ("FAIL", "ERROR") and not verdict["detail"]]  # fmt: skip
    assert not untold
    kept = [Path(verdict["artifacts"]) for verdict in verdicts.values() if verdict["artifacts"]]
    assert all((directory / "verdict.json").exists() for directory in kept)
    assert len(set(kept)) == sum(status in ("FAIL", "ERROR") for status in said.values())
