# SPDX-License-Identifier: MIT
"""Every way in which a scenario can end, each with its verdict; the scenarios run in guests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from harness.guest.panic import find_panic
from harness.qemu.machine import Machine
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

_HEAD = """
import errno
import os
import pytest
import signal
from dataclasses import replace
from harness.claims import claim
from harness.errors import HarnessError, NoInterfaceError
from harness.oracle.expect import demand, raises_errno
from harness.detectors import SplatKind
from providers_sim.provider import Provider

def _splat(guest):
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
    "call_fails_unexpectedly": ("FAIL", """
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
    pytest.skip("the scenario skips itself")
"""),
    "scenario_has_a_bug": ("ERROR", """
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
    "emulator_killed_without_another_call": ("ERROR", """
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
    "splat_in_setup": ("FAIL", """
@pytest.fixture
def prepared(report, guest, provider, nonce):
    _splat(guest)
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
    "splat_then_skip": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    _splat(guest)
    pytest.skip("the scenario skips itself")
"""),
    "pytest_fails": ("FAIL", """
@claim("R1")
def test_it(report):
    with pytest.raises(OSError):
        report.read_generation()
"""),
    "splat_then_pytest_fails": ("FAIL", """
@claim("R1")
def test_it(report, guest):
    _splat(guest)
    pytest.fail("something")
"""),
    "guest_resets_without_a_splat": ("ERROR", """
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
    "expected_splat_does_not_come": ("FAIL", """
@claim("R1")
def test_it(report, kernel_log):
    with kernel_log.expect(SplatKind.SLUB):
        report.read_generation()
"""),
    "expected_splat_and_harness_error": ("ERROR", """
@claim("R1")
def test_it(report, kernel_log):
    kernel_log.expect(SplatKind.SLUB)
    raise HarnessError("the disk of the host is full")
"""),
    "call_on_another_file_fails": ("ERROR", """
@claim("R1")
def test_it(report, actors):
    actors[1].read_file("/sys/kernel/no_such_file")
"""),
    "call_by_path_on_the_interface_fails": ("FAIL", """
@claim("R1")
def test_it(report, actors):
    actors[1].read_file(report.outblob.path)
"""),
    "entry_cannot_be_removed": ("FAIL", """
@claim("R1")
def test_it(report, actors):
    actors[1].rmdir("/sys/kernel/config/tsm/report/report1")
"""),
    "call_on_the_interface_sleeps_for_ever": ("FAIL", """
from harness.guest.actor import read_ops
@claim("R1")
def test_it(report, actors):
    sleeping = [*read_ops("/proc/kmsg"), *read_ops("/proc/kmsg")]
    actors[1].start(sleeping, tuple, "read of " + report.outblob.path).result(seconds=0.5)
"""),
    "call_on_another_file_sleeps_for_ever": ("ERROR", """
from harness.guest.actor import read_ops
@claim("R1")
def test_it(report, actors):
    sleeping = [*read_ops("/proc/kmsg"), *read_ops("/proc/kmsg")]
    actors[1].start(sleeping, tuple, "reads of the log").result(seconds=0.5)
"""),
    "call_on_the_interface_waits_for_the_host": ("ERROR", """
@claim("R1")
def test_it(report, actors, provider, nonce):
    report.write_inblob(nonce())
    provider.hold().__enter__()
    actors[1].start_read(report.outblob).result(seconds=0.5)
"""),
    "no_interface_in_setup": ("SKIP", """
@pytest.fixture
def prepared(guest):
    raise NoInterfaceError("the implementation refused to register the provider")
@claim("R1")
def test_it(prepared):
    pass
"""),
    "no_interface_in_the_setup_of_its_claim": ("FAIL", """
@pytest.fixture
def prepared(guest):
    raise NoInterfaceError("the implementation refused to register the provider")
@claim("C6")
def test_it(prepared):
    pass
"""),
    "no_interface_for_a_second_provider": ("FAIL", """
@claim("R1")
def test_it(report):
    raise NoInterfaceError("the implementation refused to register the provider")
"""),
    "no_interface_at_the_start_of_a_scenario": ("SKIP", """
@claim("R1")
def test_it(guest):
    raise NoInterfaceError("the implementation refused to register the provider")
"""),
    "attribute_is_missing_in_setup": ("SKIP", """
@pytest.fixture
def prepared(report):
    report.read("manifestblob")
@claim("R1")
def test_it(prepared):
    pass
"""),
    "file_of_the_host_is_missing": ("ERROR", """
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
    "busy_actor_gets_another_call": ("ERROR", """
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
        while not guest.log.splats(mark) or provider.longest_answer_s < 5:
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
    "dropped_reports_decide_nothing": ("ERROR", """
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
    "bytes_that_were_not_issued": ("FAIL", """
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
    """Return every verdict by the name of its scenario."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {Path(path).stem.removeprefix("test_"): verdict for path, verdict in lines}


# The cause of some results: kind, subject, function. The line counts from the function's start.
_CAUSES = {
    "ends_well": None,
    "skipped": None,
    "demand_fails": ("ClaimViolatedError", "", "test_demand_fails", 2),
    "plain_assert_fails": ("AssertionError", "", "test_plain_assert_fails", 2),
    "call_fails_unexpectedly": ("InterfaceCallError", "EINVAL", "test_call_fails_unexpectedly", 2),
    "wrong_errno": ("ClaimViolatedError", "EINVAL", "test_wrong_errno", 2),
    "scenario_has_a_bug": ("TypeError", "", "test_scenario_has_a_bug", 2),
    "splat_then_skip": ("SLUB", "Object already free [kmalloc-1k]", "", 0),
    "splat_in_setup": ("SLUB", "Object already free [kmalloc-1k]", "", 0),
    "bytes_that_were_not_issued": ("ClaimViolatedError", "outblob: foreign bytes", "", 0),
    "expected_splat_does_not_come": (
        "ClaimViolatedError", "1 x SLUB", "test_expected_splat_does_not_come", 2
    ),
}  # fmt: skip


def _cause(verdict: dict[str, Any]) -> tuple[object, ...] | None:
    return tuple(verdict["cause"].values()) if verdict["cause"] else None


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
    statuses = {name: verdict["status"] for name, verdict in verdicts.items()}
    # These are the results before clean-up; the collector takes a failed clean-up into account.
    assert statuses == {name: status for name, (status, _) in _SCENARIOS.items()}, done.stdout
    bad = [verdict for verdict in verdicts.values() if verdict["status"] in ("FAIL", "ERROR")]
    assert all(verdict["detail"] and verdict["cause"]["kind"] for verdict in bad)
    assert {name: _cause(verdicts[name]) for name in _CAUSES} == _CAUSES
    kept = [Path(verdict["artifacts"]) for verdict in verdicts.values() if verdict["artifacts"]]
    assert all((directory / "verdict.json").exists() for directory in kept)
    assert len(set(kept)) == len(bad)


def test_a_warning_decides_only_if_the_kernel_panicked_because_of_it() -> None:
    warning = "WARNING: tsm.c:27 at tsm_put+0x5/0x10 [tsm], CPU#0: cat/150"
    panic = "Kernel panic - not syncing: kernel: panic_on_warn set ..."
    panicked = find_panic(_ended(warning, panic))
    assert panicked is not None
    assert "at tsm_put" in str(panicked)
    assert find_panic(_ended(warning, "Modules linked in:")) is None


def _ended(*lines: str) -> Machine:
    console = "".join(f"[    1.000000] {line}\r\n" for line in lines).encode()
    machine = SimpleNamespace(wait_for_exit=lambda _: None, console_bytes=lambda: console)
    return cast("Machine", machine)
