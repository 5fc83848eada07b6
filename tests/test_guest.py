# SPDX-License-Identifier: MIT
"""A guest as the host uses it: actors, kernel log, relay, shell; and one that is hostile."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import signal
import socket
import stat
import struct
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import cast
from zlib import crc32

import paramiko
import pytest

from harness.errors import (
    ActorDiedError,
    ClaimViolatedError,
    DeadlineError,
    GuestCallError,
    GuestLostError,
    HarnessError,
    KernelReportError,
    ScenarioError,
    UsageError,
)
from harness.guest.agent import AgentClient
from harness.guest.guest import Guest
from harness.guest.patience import Patience
from harness.guest.ssh import SshSession
from harness.oracle.kernel_log import KernelLog
from harness.oracle.patterns import ReportKind
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER
from harness.surfaces.find import find_surface
from harness.surfaces.report import Report
from harness.vm.machine import Machine
from harness.workbench import Workbench
from providers_sim.loop import ProviderLoop
from providers_sim.wire.agent import AGENT_HELLO, AGENT_HELLO_REPLY, STATE_REPLY
from providers_sim.wire.constants import (
    MAGIC,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    ActorPhase,
    FrameType,
    Status,
)
from providers_sim.wire.frame import HEAD, Frame, FrameParser, encode_frame
from providers_sim.wire.ops import RESULT, RUN_REPLY, Op, OpResult, decode_stat

_REPORTS = "/sys/kernel/config/tsm/report"
_MODULES = "/lib/tsm"
_READ = "0 "  # how /proc/PID/syscall begins in read(2) on x86-64
_NOBODY = 65534
_NONCE = b"n" * 64

Clone = Callable[[str], Guest]


@pytest.fixture
def guest(clone: Clone) -> Guest:
    """A pristine guest with the kernel's own core, and no provider yet."""
    return clone("mainline")


@pytest.fixture
def provider(guest: Guest, attach: Callable[[Guest], ProviderLoop]) -> ProviderLoop:
    return attach(guest)


@pytest.fixture
def report(guest: Guest, provider: ProviderLoop) -> Report:
    entry = find_surface(guest).report()
    entry.write_inblob(_NONCE)
    return entry


def _as_they_are(results: Sequence[OpResult]) -> Sequence[OpResult]:
    return results


# Actors.


def test_batch_of_calls_with_their_results_and_times(guest: Guest) -> None:
    ops = [
        Op.mkdir("/tmp/d", 0o750),
        Op.open("/tmp/d/f", os.O_RDWR | os.O_CREAT, 0o640),
        Op.write(b"hello world"),
        Op.pwrite(b"W", 6),
        Op.lseek(1),
        Op.read(4),
        Op.pread(100, 6),
        Op.close(),
        Op.stat("/tmp/d/f"),
        Op.list("/tmp/d"),
        Op.list("/tmp/d/f"),
        Op.rmdir("/tmp/d"),
    ]
    actor = guest.actors[0]
    before = actor.start([Op.stat("/")], _as_they_are, "stat").result()[0]
    call = actor.start(ops, _as_they_are, "batch")
    results = call.results()
    after = actor.start([Op.stat("/")], _as_they_are, "stat").result()[0]
    assert call.error() == errno.ENOTDIR
    assert len(results) == 11  # nothing runs after the first error
    assert [one.err for one in results] == [0] * 10 + [errno.ENOTDIR]
    assert [results[at].ret for at in (2, 3, 4, 5, 6, 7, 9, 10)] == [11, 1, 1, 4, 5, 0, 1, -1]
    assert [results[at].data for at in (5, 6, 9)] == [b"ello", b"World", b"f\0"]
    told = decode_stat(results[8].data)
    assert (stat.S_ISREG(told.mode), told.mode & 0o777, told.uid, told.size) == (True, 0o640, 0, 11)
    assert all(one.start_ns <= one.end_ns for one in results)
    assert all(one.end_ns <= other.start_ns for one, other in pairwise(results))
    assert before.end_ns <= results[0].start_ns <= results[-1].end_ns <= after.start_ns


def test_file_methods_of_an_actor(guest: Guest) -> None:
    actor = guest.actors[0]
    actor.mkdir("/tmp/d", 0o711)
    assert stat.S_ISDIR(actor.stat("/tmp/d").mode)
    assert actor.stat("/tmp/d").mode & 0o777 == 0o711
    assert actor.exists("/tmp/d") and not actor.exists("/tmp/e")
    assert "d" in actor.list("/tmp")
    with pytest.raises(GuestCallError) as caught:
        actor.mkdir("/tmp/d")
    assert (caught.value.errno, caught.value.filename) == (errno.EEXIST, "mkdir /tmp/d")
    actor.rmdir("/tmp/d")
    assert not actor.exists("/tmp/d")
    with pytest.raises(GuestCallError) as caught:
        actor.read_file("/tmp/d")
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(GuestCallError):
        actor.write_file("/tmp/d", b"is not made")
    assert actor.read_file("/proc/self/comm") == b"actor-0\n"
    with pytest.raises(ScenarioError, match="longer than one batch"):
        actor.read_file("/dev/zero")


def test_failed_batch_leaves_nothing_open(guest: Guest, report: Report) -> None:
    listing = f"/proc/{guest.actors[0].state().pid}/fd"
    before = guest.actors[1].list(listing)
    for _ in range(3):
        with pytest.raises(GuestCallError) as caught:
            report.write_inblob(bytes(65))
        assert caught.value.errno == errno.EFBIG
    assert guest.actors[1].list(listing) == before


def test_state_of_an_actor_that_the_provider_keeps_waiting(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    reader = guest.actors[1]
    assert reader.state().phase == ActorPhase.IDLE
    with provider.hold() as gate:
        call = reader.read(report.outblob)
        gate.wait_for_request()
        state = call.wait_until_blocked("tsm_report_read")
        assert (state.phase, state.op_index) == (ActorPhase.IN_CALL, 1)
        assert state.syscall.startswith(_READ)
        assert state.wchan
        assert "report_new" in state.stack and "vfs_read" in state.stack
        assert f"\nPid:\t{state.pid}\n" in state.status
        assert not call.done()
        call.wait_until_blocked(state.wchan)
    assert _NONCE in call.result()
    assert reader.state().phase == ActorPhase.IDLE
    assert provider.requests == 1


def test_call_that_returns_was_not_blocked(guest: Guest) -> None:
    call = guest.actors[1].start([Op.stat("/tmp")], _as_they_are, "stat of /tmp")
    with pytest.raises(ClaimViolatedError, match="stat of /tmp by actor 1> returned"):
        call.wait_until_blocked()
    assert call.result()[0].err == 0


def test_blocked_call_is_told_at_its_deadline(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    guest.patience = Patience()
    with provider.hold() as gate:
        call = guest.actors[1].read(report.outblob)
        gate.wait_for_request()
        call.wait_until_blocked()
        with pytest.raises(DeadlineError, match=r"within 0\.2 s") as caught:
            call.result(seconds=0.2)
        assert "actor 1" in str(caught.value)
        assert "the actor is in the kernel at [<0>] " in str(caught.value)
        assert "[tsm_sim]" in str(caught.value)
        with pytest.raises(DeadlineError, match="blocking in no_such_function did not happen"):
            call.wait_until_blocked("no_such_function", seconds=0.2)
    assert _NONCE in call.result()  # a deadline is no end of the call


def test_actors_leave_the_start_line_together(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    with provider.hold() as gate:
        ops = [Op.open(report.outblob.path), Op.read(4096), Op.close()]
        calls = [actor.start(ops, _as_they_are, "read", line=7) for actor in guest.actors[1:4]]
        ready = guest.actors[0].start([Op.stat("/")], _as_they_are, "stat").result()[0]
        phases = [actor.state().phase for actor in guest.actors[1:4]]
        assert phases == [ActorPhase.AT_LINE] * 3
        assert guest.go(6) == 0
        assert not any(call.done() for call in calls)
        assert provider.requests == 0
        assert guest.go(7) == 3
        gate.wait_for_request()
        for call in calls:
            call.wait_until_blocked()
    first, second, third = (call.result() for call in calls)
    assert {one[1].ret for one in (first, second, third)} == {1184}
    latest = max(one[1].start_ns for one in (first, second, third))
    assert ready.end_ns < min(one[0].start_ns for one in (first, second, third))
    assert latest < min(one[1].end_ns for one in (first, second, third))


def test_actor_does_one_batch_at_a_time(guest: Guest) -> None:
    waiting = guest.actors[1].start([Op.stat("/")], _as_they_are, "stat", line=1)
    with pytest.raises(ScenarioError, match="refused: the actor is busy"):
        guest.actors[1].read_file("/proc/uptime")
    assert guest.go(1) == 1
    assert waiting.result()[0].err == 0
    with pytest.raises(ScenarioError, match="refused GO"):
        guest.go(0)


def test_another_user_may_read_but_not_write(guest: Guest, report: Report) -> None:
    actor = guest.actors[4]
    assert actor.state().phase == ActorPhase.DEAD
    actor.spawn(uid=_NOBODY, gid=_NOBODY, cpu=0)
    status = actor.state().status
    assert f"Uid:\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\n" in status
    assert f"Gid:\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "Cpus_allowed_list:\t0\n" in status
    assert actor.write(report.inblob, b"x" * 64).error() == errno.EACCES
    assert _NONCE in actor.read(report.outblob).result()
    with pytest.raises(GuestCallError) as caught:
        actor.mkdir(f"{_REPORTS}/mine")
    assert caught.value.errno == errno.EACCES
    with pytest.raises(GuestCallError) as caught:
        actor.insmod(f"{_MODULES}/tsm-class.ko")
    assert caught.value.errno == errno.EPERM
    with pytest.raises(ScenarioError, match="refused SPAWN"):
        guest.actors[5].spawn(cpu=63)


def test_idle_actor_is_killed_and_its_slot_filled_again(guest: Guest) -> None:
    actor = guest.actors[2]
    before = actor.state().pid
    actor.kill()
    assert actor.wait_until_dead() == signal.SIGKILL
    state = actor.state()
    assert (state.phase, state.pid, state.wait_status) == (ActorPhase.DEAD, 0, signal.SIGKILL)
    with pytest.raises(ActorDiedError, match=r"actor 2 died .*signal SIGKILL"):
        actor.read_file("/proc/uptime")
    actor.spawn()
    assert actor.state().phase == ActorPhase.IDLE
    assert actor.state().pid not in (0, before)
    assert actor.read_file("/proc/self/comm") == b"actor-2\n"
    with pytest.raises(ScenarioError, match="refused SPAWN: BUSY"):
        actor.spawn()
    assert guest.actors[1].read_file("/proc/self/comm") == b"actor-1\n"


def test_actor_is_killed_while_it_waits_for_the_provider(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    with provider.hold() as gate:
        call = guest.actors[1].read(report.outblob)
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        guest.actors[1].kill()
        assert guest.actors[1].wait_until_dead() == signal.SIGKILL
        with pytest.raises(ActorDiedError) as caught:
            call.result()
        assert caught.value.wait_status == signal.SIGKILL
        with pytest.raises(ActorDiedError):
            call.wait_until_blocked()
        provider.wait_cancelled(1)
        assert provider.in_flight == 0
    assert _NONCE in report.read_outblob()
    guest.log.assert_clean()


def test_guest_that_ends_is_told_whatever_was_asked(guest: Guest) -> None:
    waiting = guest.actors[1].start([Op.stat("/")], _as_they_are, "stat", line=1)
    guest.machine.kill()
    asked: list[Callable[[], object]] = [
        waiting.result,
        waiting.wait_until_blocked,
        guest.actors[0].state,
        guest.ping,
        guest.log.reports,
        lambda: guest.go(1),
        lambda: guest.actors[0].read_file("/proc/uptime"),
    ]
    for ask in asked:
        with pytest.raises(GuestLostError, match="QEMU ended with status -9"):
            ask()
    assert guest.actors[1].whereabouts() == "in a guest that does not answer"


# Modules.


def test_modules_come_and_go(guest: Guest) -> None:
    actor = guest.actors[0]
    actor.insmod(f"{_MODULES}/tsm-class.ko", "defects=double-free,stale-tail")
    parameter = "/sys/module/tsm_class/parameters/defects"
    assert actor.read_file(parameter) == b"double-free,stale-tail\n"
    assert actor.exists("/sys/class/tsm")
    assert "tsm_class" in actor.list("/sys/module")
    actor.rmmod("tsm_class")
    assert not actor.exists("/sys/class/tsm")
    assert "tsm_class" not in actor.list("/sys/module")


@pytest.mark.parametrize(
    ("path", "parameters", "expected"),
    [
        (f"{_MODULES}/tsm-class.ko", "defects=no-such-defect", errno.EINVAL),
        (f"{_MODULES}/tsm.ko", "", errno.EEXIST),
        (f"{_MODULES}/none.ko", "", errno.ENOENT),
        (f"{_MODULES}/tsm-sim-class.ko", "", errno.EEXIST),
        ("/proc/version", "", errno.EINVAL),
    ],
)
def test_module_that_cannot_be_loaded(
    guest: Guest, path: str, parameters: str, expected: int
) -> None:
    before = guest.actors[0].list("/sys/module")
    with pytest.raises(GuestCallError) as caught:
        guest.actors[0].insmod(path, parameters)
    assert caught.value.errno == expected
    assert caught.value.filename == f"insmod {path} {parameters}".strip()
    assert guest.actors[0].list("/sys/module") == before


def test_module_in_use_stays(guest: Guest, provider: ProviderLoop) -> None:
    actor = guest.actors[0]
    for name in ("tsm", "tsm_sim"):
        with pytest.raises(GuestCallError) as caught:
            actor.rmmod(name)
        assert caught.value.errno == errno.EAGAIN
    with pytest.raises(GuestCallError) as caught:
        actor.rmmod("no_such_module")
    assert caught.value.errno == errno.ENOENT
    guest.relay(start=False)  # the relay's open device was what the driver was in use for
    actor.rmmod("tsm_sim")
    actor.rmmod("tsm")
    assert not actor.exists(_REPORTS)


# The relay between the provider device and the provider port.


def _wait_for_hello(guest: Guest, provider: ProviderLoop, before: int) -> None:
    deadline = guest.patience.deadline(20.0, "the driver's next greeting")
    while provider.session == before:
        guest.ping()
        deadline.remaining()


def test_provider_comes_back_with_the_relay(guest: Guest, provider: ProviderLoop) -> None:
    actor, session = guest.actors[0], provider.session
    guest.relay(start=False)
    with pytest.raises(GuestCallError) as caught:
        actor.mkdir(f"{_REPORTS}/early")
    assert caught.value.errno == errno.ENXIO
    guest.relay(start=False)  # has nothing to do
    guest.relay(start=True)
    with pytest.raises(ScenarioError, match="refused RELAY: BUSY"):
        guest.relay(start=True)
    _wait_for_hello(guest, provider, session)
    assert provider.wait_registered() == 0
    entry = find_surface(guest).report()
    entry.write_inblob(_NONCE)
    assert _NONCE in entry.read_outblob()
    guest.log.assert_clean()


def test_relay_that_stops_fails_what_is_in_flight(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    with provider.hold() as gate:
        call = guest.actors[1].read(report.outblob)
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        guest.relay(start=False)
        assert call.error() == errno.ENXIO
    assert report.actor.read(report.outblob).error() == errno.ENXIO
    guest.log.assert_clean()


def _wait_for_no_provider(guest: Guest) -> None:
    """Until the guest has seen its host leave: configfs makes no entry without a provider."""
    deadline = guest.patience.deadline(20.0, "the provider's end")
    entry = f"{_REPORTS}/probe"
    while guest.actors[0].start([Op.mkdir(entry)], _as_they_are, "mkdir").error() == 0:
        guest.actors[0].rmdir(entry)
        deadline.remaining()


def test_another_host_may_take_over(
    guest: Guest, provider: ProviderLoop, attach: Callable[[Guest], ProviderLoop]
) -> None:
    guest.detach()
    assert provider.closed
    _wait_for_no_provider(guest)
    second = attach(guest)
    entry = find_surface(guest).report()
    entry.write_inblob(_NONCE)
    assert _NONCE in entry.read_outblob()
    assert (provider.requests, second.requests) == (0, 1)


def test_hosts_may_follow_at_once(guest: Guest, workbench: Workbench) -> None:
    for seed in range(6):
        loop = guest.attach(workbench.provider(DEFAULT_PROVIDER, seed))
        assert loop.wait_registered() == 0
    entry = find_surface(guest).report()
    entry.write_inblob(_NONCE)
    assert _NONCE in entry.read_outblob()
    assert loop.requests == 1


# The kernel log.


def test_line_of_an_actor_comes_with_the_stream(guest: Guest) -> None:
    guest.actors[1].write_file("/dev/kmsg", b"<4>before the mark\n")
    mark = guest.log.mark()
    guest.actors[1].write_file("/dev/kmsg", b"<4>a word from an actor\n")
    assert guest.log.reports(mark) == []
    (record,) = [one for one in guest.log.records if one.sequence >= mark]
    assert (record.text, record.level, record.from_kernel) == ("a word from an actor", 4, False)
    assert record.sequence == mark
    assert guest.log.mark() == mark + 1
    assert record.time_s > 0


def test_what_a_program_writes_is_no_report(guest: Guest) -> None:
    for line in (b"BUG: KASAN: double-free in kfree\n", b"<0>Kernel panic - not syncing: no\n"):
        guest.actors[0].write_file("/dev/kmsg", line)
    assert guest.log.reports() == []
    guest.log.assert_clean()


def test_lines_of_many_writers_are_whole_and_in_order(guest: Guest) -> None:
    guest.actors[0].write_file("/dev/kmsg", b"before the mark\n")
    mark, lines = guest.log.mark(), 50
    calls = []
    for actor in guest.actors[:4]:
        writes = [Op.write(f"{actor!r} line {number}\n".encode()) for number in range(lines)]
        ops = [Op.open("/dev/kmsg", os.O_WRONLY), *writes, Op.close()]
        calls.append(actor.start(ops, _as_they_are, "lines"))
    assert [call.error() for call in calls] == [0] * 4
    assert guest.log.mark() == mark + 4 * lines
    assert guest.log.lost == 0
    texts = [one.text for one in guest.log.records if one.sequence >= mark]
    for actor in guest.actors[:4]:
        mine = [text for text in texts if text.startswith(f"{actor!r} ")]
        assert mine == [f"{actor!r} line {number}" for number in range(lines)]


def test_report_of_a_real_kernel_is_recognised(
    clone: Clone, attach: Callable[[Guest], ProviderLoop]
) -> None:
    guest = clone("as-posted")
    provider = attach(guest)
    entry = find_surface(guest).report()
    entry.write_inblob(b"\1" * 64)
    entry.read_outblob()
    entry.write_inblob(b"\2" * 64)
    provider.fail_next(errno.EIO)
    with pytest.raises(GuestCallError):
        entry.read_outblob()
    guest.log.assert_clean()
    mark = guest.log.mark()
    entry.read_outblob()  # frees again what the failure freed
    (found,) = guest.log.reports(mark)
    assert (found.kind, found.first_sequence >= mark) == (ReportKind.SLUB, True)
    assert "already free" in found.title
    with pytest.raises(KernelReportError, match="already free"):
        guest.log.assert_clean()


# The shell.


@pytest.fixture
def shell(guest: Guest, workbench: Workbench) -> Iterator[SshSession]:
    with SshSession(guest, workbench.image(DEFAULT_KERNEL).ssh_keys) as session:
        yield session


def _run(shell: SshSession, *command: str, stdin: int | None = None) -> tuple[int, bytes, bytes]:
    stdout, stderr = io.BytesIO(), io.BytesIO()
    return shell.run(command, stdin, stdout, stderr), stdout.getvalue(), stderr.getvalue()


def _feed(shell: SshSession, command: str, data: bytes, file: Path) -> tuple[int, bytes, bytes]:
    """Run ``command`` with ``data``, kept in ``file``, as its input."""
    file.write_bytes(data)
    with file.open("rb") as stream:
        return _run(shell, command, stdin=stream.fileno())


def test_shell_passes_streams_and_status(shell: SshSession, tmp_path: Path) -> None:
    told = _run(shell, "sh", "-c", "echo out; echo err >&2; exit 7")
    assert told == (7, b"out\n", b"err\n")
    assert _run(shell, "echo $((6 * 7))") == (0, b"42\n", b"")  # one word is a shell's line ...
    told = _run(shell, "printf", "%s|", "a b", "$HOME", "'q'")
    assert told == (0, b"a b|$HOME|'q'|", b"")  # ... several are a command and its words
    assert _run(shell, "no-such-command")[0] == 127
    data = random.Random(1).randbytes(300_000)
    assert _feed(shell, "cat", data, tmp_path / "input") == (0, data, b"")
    assert _feed(shell, "true", data, tmp_path / "input") == (0, b"", b"")
    assert _run(shell, "cat") == (0, b"", b"")


def test_shell_copies_files_both_ways(shell: SshSession, guest: Guest, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    data = random.Random(2).randbytes(300_000) + b"\r\n\0\xff"
    source.write_bytes(data)
    source.chmod(0o751)
    shell.push(source, "/tmp/with a blank")
    told = guest.actors[0].stat("/tmp/with a blank")
    assert (told.mode & 0o777, told.size) == (0o751, len(data))
    shell.pull("/tmp/with a blank", target)
    assert target.read_bytes() == data
    target.write_bytes(b"stays")
    with pytest.raises(UsageError, match="No such file"):
        shell.pull("/tmp/none", target)
    with pytest.raises(UsageError, match="longer than 1000 bytes"):
        shell.pull("/dev/zero", target, limit=1000)
    assert target.read_bytes() == b"stays"
    source.write_bytes(b"")
    shell.push(source, "/tmp/empty")
    assert guest.actors[0].stat("/tmp/empty").size == 0
    with pytest.raises(UsageError, match="nonexistent directory"):
        shell.push(source, "/none/file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "target"]


def test_push_of_much_that_is_refused(shell: SshSession, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    with pytest.raises(UsageError, match="cannot write /none/file"):
        shell.push(source, "/none/file")


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_command_that_a_signal_ends(shell: SshSession, name: str) -> None:
    number = signal.Signals[f"SIG{name}"]
    assert _run(shell, f"kill -{name} $$")[0] == 128 + number


def _transports() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if isinstance(one, paramiko.Transport)}


class _KillAtOutput(io.BytesIO):
    """Has a guest killed when its command has printed something, while that goes on."""

    def __init__(self, guest: Guest) -> None:
        super().__init__()
        self._killer = threading.Thread(target=guest.machine.kill)

    def write(self, data: object) -> int:
        """Take the output as the signal to kill."""
        self._killer.start()
        return len(cast(bytes, data))


def test_guest_that_dies_during_a_command(shell: SshSession, guest: Guest) -> None:
    with pytest.raises(GuestLostError):
        shell.run(["echo started; sleep 600"], None, _KillAtOutput(guest), io.BytesIO())


def test_command_that_prints_much_before_it_reads(
    shell: SshSession, guest: Guest, tmp_path: Path
) -> None:
    watchdog = threading.Timer(guest.patience.seconds(30), guest.machine.kill)
    watchdog.start()
    try:
        command = "head -c 5000000 /dev/zero; wc -c"
        status, stdout, _ = _feed(shell, command, bytes(1_000_000), tmp_path / "input")
    finally:
        watchdog.cancel()
    assert (status, len(stdout), stdout[-8:]) == (0, 5_000_008, b"1000000\n")


def test_shells_one_after_the_other(guest: Guest, workbench: Workbench) -> None:
    for number in range(3):
        with SshSession(guest, workbench.image(DEFAULT_KERNEL).ssh_keys) as session:
            assert _run(session, f"echo {number}") == (0, b"%d\n" % number, b"")


def test_wrong_host_key_is_refused(guest: Guest, workbench: Workbench) -> None:
    keys = workbench.image(DEFAULT_KERNEL).ssh_keys
    other = keys.host_public[:-1] + bytes([keys.host_public[-1] ^ 1])
    with pytest.raises(GuestLostError, match="another host key"):
        SshSession(guest, replace(keys, host_public=other))
    assert guest.actors[0].read_file("/proc/uptime")


def test_refused_host_key_leaves_no_connection(guest: Guest, workbench: Workbench) -> None:
    keys, before = workbench.image(DEFAULT_KERNEL).ssh_keys, _transports()
    with pytest.raises(GuestLostError, match="another host key"):
        SshSession(guest, replace(keys, host_public=b"another"))
    for transport in _transports() - before:
        transport.join(10)
    assert _transports() <= before


# A hostile guest: bytes on the agent's connection.


def _reply(request: Frame, payload: bytes = b"", status: int = Status.OK) -> bytes:
    kind = request.type | REPLY
    return encode_frame(Frame(kind, 0, request.session, request.id, status, payload))


def _greeting(request: Frame, payload: bytes | None = None, status: int = Status.OK) -> bytes:
    nonce = AGENT_HELLO.unpack(request.payload)[0]
    hello = AGENT_HELLO_REPLY.pack(nonce, 1, 8, 65496) + b"6.1-hostile"
    return _reply(request, hello if payload is None else payload, status)


def _log_event(records: Sequence[bytes], session: int = 0) -> bytes:
    texts = b"".join(len(one).to_bytes(4, "little") + one for one in records)
    return encode_frame(Frame(FrameType.LOG, 0, session, 0, 0, bytes(8) + texts))


def _giant(length: int) -> bytes:
    """The header of a frame that announces more than a frame may have."""
    head = HEAD.pack(MAGIC, VERSION, FrameType.LOG, 0, 0, 0, length, 0, 0)
    return head + crc32(head).to_bytes(4, "little")


class _StillReadingError(Exception):
    """The client goes on reading although it was to come to an end."""


class _Hose:
    """Stands in for a connection whose other end always has more to say: ``more(n)`` is next.

    After ``limit`` pieces it raises ``last``.
    """

    def __init__(
        self, more: Callable[[int], bytes], limit: int, last: type[Exception] = _StillReadingError
    ) -> None:
        self.requests: list[Frame] = []
        self.received = 0
        self._more = more
        self._limit = limit
        self._last = last
        self._parser = FrameParser()

    def settimeout(self, _: float) -> None:
        """Nothing ever waits here."""

    def sendall(self, data: bytes) -> None:
        """Note the requests."""
        self.requests += self._parser.feed(data)

    def recv(self, _: int) -> bytes:
        """The next piece, whatever its length."""
        if self.received >= self._limit:
            raise self._last
        self.received += 1
        return self._more(self.received)


class _Ears:
    """What a client has heard: deaths of actors, and the kernel log."""

    def __init__(self) -> None:
        self.deaths: list[tuple[int, int]] = []
        self.log = KernelLog(lambda: None)

    def client(self, connection: object) -> AgentClient:
        """A client of ``connection`` that tells these ears; its session is 0 until it greets."""
        return AgentClient(
            cast(socket.socket, connection),
            on_log=lambda batch: self.log.feed(batch.records, batch.lost),
            on_death=lambda slot, status: self.deaths.append((slot, status)),
        )


def _numbered(at: int, lines: int = 100) -> bytes:
    first = (at - 1) * lines
    return _log_event([b"6,%d,1,-;line" % number for number in range(first, first + lines)])


_ENDLESS: dict[str, Callable[[int], bytes]] = {
    "noise": lambda at: random.Random(at).randbytes(1 << 14),
    "zeroes": lambda at: bytes(1 << 14),
    "magics": lambda at: b"TSMW" * (1 << 8),
    "giant-frames": lambda at: _giant(0xFFFF_FFFF) + bytes(1 << 14),
    "half-a-frame": lambda at: encode_frame(Frame(FrameType.LOG, payload=bytes(1 << 14)))[:-1],
    "other-sessions": lambda at: encode_frame(Frame(FrameType.PING | REPLY, 0, 99, 1)),
    "nobody-asked": lambda at: encode_frame(
        Frame(FrameType.PING | REPLY, 0, 0, 1000 + at, 0, bytes(1 << 14))
    ),
    "unknown-events": lambda at: encode_frame(Frame(0x60, payload=bytes(1 << 14))),
    "broken-deaths": lambda at: encode_frame(Frame(FrameType.ACTOR_DIED, payload=bytes(7))),
    "log": _numbered,
}


@pytest.mark.parametrize("name", _ENDLESS)
def test_endless_stream_ends_at_the_deadline(name: str) -> None:
    ears, hose = _Ears(), _Hose(_ENDLESS[name], limit=10**9)
    client = ears.client(hose)
    with pytest.raises(DeadlineError, match=r"an answer did not happen within 0\.1 s"):
        client.call(FrameType.PING, b"", Patience().deadline(0.1, "an answer"))
    assert hose.received > 1
    assert ears.deaths == []
    assert bool(ears.log.records) == (name == "log")


@pytest.mark.parametrize("name", [name for name in _ENDLESS if name != "log"])
def test_endless_stream_is_not_kept(name: str) -> None:
    hose = _Hose(_ENDLESS[name], limit=400, last=BlockingIOError)
    client = _Ears().client(hose)
    client.send(FrameType.PING, b"")
    tracemalloc.start()
    try:
        while hose.received < 400:
            client.poll()
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert kept < 3 * MAX_PAYLOAD


def test_answer_comes_through_what_surrounds_it() -> None:
    death = encode_frame(Frame(FrameType.ACTOR_DIED, payload=struct.pack("<Ii", 3, 9)))
    before = [_ENDLESS["noise"](1), _giant(200_000) + bytes(200_000), death]

    def more(at: int) -> bytes:
        if at <= len(before):
            return before[at - 1]
        (request,) = hose.requests
        return _reply(request, b"the answer") + _reply(request, b"another")

    hose = _Hose(more, len(before) + 1, last=BlockingIOError)
    ears = _Ears()
    client = ears.client(hose)
    deadline = Patience().deadline(20.0, "the answer")
    assert client.call(FrameType.PING, b"", deadline) == b"the answer"
    assert ears.deaths == [(3, 9)]


def test_kernel_log_without_end_is_cut_and_no_evidence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.oracle.kernel_log.MAX_RECORDS", 1000)
    ears, hose = _Ears(), _Hose(_numbered, limit=30, last=BlockingIOError)
    ears.client(hose).poll()
    assert len(ears.log.records) == 1000
    assert ears.log.lost == 2000
    with pytest.raises(HarnessError, match="2000 kernel log records are missing"):
        ears.log.assert_clean()


def test_what_has_arrived_comes_to_an_end() -> None:
    client = _Ears().client(_Hose(_numbered, limit=500))
    client.poll()


@pytest.mark.parametrize(
    "payload",
    [b"", bytes(7), bytes(8) + b"\1", bytes(8) + b"\xff\xff\xff\xff", bytes(8) + b"\5\0\0\0four"],
)
def test_malformed_log_is_a_broken_protocol(payload: bytes) -> None:
    frame = encode_frame(Frame(FrameType.LOG, payload=payload))
    client = _Ears().client(_Hose(lambda at: frame, limit=1, last=BlockingIOError))
    with pytest.raises(GuestLostError, match="broke the protocol"):
        client.poll()


def test_no_more_requests_than_a_guest_can_be_asked_to_remember() -> None:
    client = _Ears().client(_Hose(lambda at: b"", limit=0, last=BlockingIOError))
    for _ in range(256):
        client.send(FrameType.PING)
    with pytest.raises(ScenarioError, match="more than 256 requests"):
        client.send(FrameType.PING)


@pytest.mark.parametrize("seed", range(20))
def test_any_payload_in_any_frame_is_survived(seed: int) -> None:
    rng = random.Random(seed)
    kinds = [*FrameType, *(kind | REPLY for kind in FrameType)]

    def piece(_: int) -> bytes:
        payload = rng.choice([rng.randbytes(rng.randrange(64)), bytes(rng.randrange(64))])
        head = (rng.randrange(2), 0, rng.randrange(4), rng.randrange(256))
        return encode_frame(Frame(rng.choice(kinds), *head, payload))

    hose = _Hose(piece, limit=500, last=BlockingIOError)
    client = _Ears().client(hose)
    asked = [client.send(FrameType.PING) for _ in range(3)]
    while hose.received < 500:
        try:
            client.poll()
        except GuestLostError as error:
            assert "broke the protocol" in str(error)
    assert any(client.arrived(ident) for ident in asked)


# A hostile guest: an agent that breaks the protocol where a test says so.

Answer = Callable[[Frame], bytes]


class _Agent:
    """A machine whose agent answers every request with success and nothing else.

    ``answers`` has what it sends instead, by frame type; nothing at all ends the connection.
    """

    directory = Path(os.devnull, "none")  # a guest removes its machine's: this cannot be there

    def __init__(self, **answers: Answer) -> None:
        self.killed = False
        self._answers: dict[int, Answer] = {FrameType.HELLO: _greeting}
        self._answers |= {FrameType[name]: answer for name, answer in answers.items()}
        self._ours, self._theirs = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def connect(self, _: str) -> socket.socket:
        """The host's end of the agent's port."""
        return self._ours

    def last_words(self) -> str:
        """Nothing was printed."""
        return ""

    def kill(self) -> None:
        """Note that the machine was ended."""
        self.killed = True

    def guest(self, *, seconds: float = 20.0) -> Guest:
        """A guest on this machine."""
        return Guest(cast(Machine, self), seconds=seconds)

    def _serve(self) -> None:
        parser = FrameParser()
        with self._theirs, contextlib.suppress(OSError):
            while data := self._theirs.recv(1 << 16):
                for frame in parser.feed(data):
                    answer = self._answers.get(frame.type, _reply)(frame)
                    if not answer:
                        return
                    self._theirs.sendall(answer)


def _results(*results: tuple[int, int, bytes]) -> Answer:
    """An answer to RUN with these results: return value, errno, data."""
    parts = [RESULT.pack(ret, err, len(data), 1, 2) + data for ret, err, data in results]
    return lambda frame: _reply(frame, RUN_REPLY.pack(len(results), 0) + b"".join(parts))


def test_agent_that_keeps_the_protocol_is_believed() -> None:
    with _Agent(RUN=_results((0, 0, bytes(24)))).guest() as guest:
        assert guest.kernel_release == "6.1-hostile"
        assert len(guest.actors) == 8
        assert guest.actors[0].stat("/anything").size == 0


@pytest.mark.parametrize(
    ("hello", "words"),
    [
        (lambda frame: b"", "the connection to the guest ended"),
        (lambda frame: _greeting(frame, b"short"), "broke the protocol"),
        (lambda frame: _greeting(frame, bytes(16)), "somebody else's greeting"),
        (lambda frame: bytes(100), "did not happen within 0.2 s"),
    ],
    ids=["ends", "short", "other-nonce", "mute"],
)
def test_bad_greeting_is_a_lost_guest(hello: Answer, words: str) -> None:
    machine = _Agent(HELLO=hello)
    with pytest.raises((GuestLostError, DeadlineError), match=words):
        machine.guest(seconds=0.2 if "0.2" in words else 20.0)
    assert machine.killed


@pytest.mark.parametrize(
    "state",
    [
        b"",
        STATE_REPLY.pack(77, 1, 0, 0) + bytes(20),
        STATE_REPLY.pack(0, 1, 0, 0) + bytes(16),
        STATE_REPLY.pack(0, 1, 0, 0) + b"\xff" * 20,
    ],
)
def test_bad_state_is_a_lost_guest(state: bytes) -> None:
    with _Agent(STATE=lambda frame: _reply(frame, state)).guest() as guest:
        with pytest.raises(GuestLostError, match="broke the protocol"):
            guest.actors[0].state()
        assert guest.actors[0].whereabouts() == "in a guest that does not answer"


@pytest.mark.parametrize(
    "run",
    [
        _reply,
        lambda frame: _reply(frame, RUN_REPLY.pack(0xFFFF_FFFF, 0)),
        lambda frame: _reply(frame, RUN_REPLY.pack(1, 0) + RESULT.pack(0, 0, 0xFFFF_FFFF, 1, 2)),
        lambda frame: _reply(frame, RUN_REPLY.pack(0, 0) + b"more"),
    ],
)
def test_bad_results_are_a_lost_guest(run: Answer) -> None:
    with (
        _Agent(RUN=run).guest() as guest,
        pytest.raises(GuestLostError, match="broke the protocol"),
    ):
        guest.actors[0].read_file("/anything")


def test_fewer_results_than_calls_are_a_lost_guest() -> None:
    with (
        _Agent(RUN=_results()).guest() as guest,
        pytest.raises(GuestLostError, match="broke the protocol"),
    ):
        guest.actors[0].stat("/anything")


def test_malformed_stat_is_a_lost_guest() -> None:
    with (
        _Agent(RUN=_results((0, 0, b"short"))).guest() as guest,
        pytest.raises(GuestLostError, match="broke the protocol"),
    ):
        guest.actors[0].stat("/anything")


def _death(frame: Frame, status: int) -> bytes:
    payload = struct.pack("<Ii", 0, status)
    return encode_frame(Frame(FrameType.ACTOR_DIED, 0, frame.session, 0, 0, payload))


@pytest.mark.parametrize(
    ("status", "words"),
    [(9, "signal SIGKILL"), (3 << 8, "exit status 3"), (-1, "exit status 255")],
)
def test_death_of_an_actor_is_told(status: int, words: str) -> None:
    with (
        _Agent(RUN=lambda frame: _death(frame, status)).guest() as guest,
        pytest.raises(ActorDiedError, match=words),
    ):
        guest.actors[0].read_file("/anything")


def test_death_by_a_signal_without_a_name_is_told() -> None:
    with (
        _Agent(RUN=lambda frame: _death(frame, 40)).guest() as guest,
        pytest.raises(ActorDiedError, match="signal 40"),
    ):
        guest.actors[0].read_file("/anything")


def test_death_of_a_slot_that_does_not_exist_is_ignored() -> None:
    def ping(frame: Frame) -> bytes:
        return encode_frame(
            Frame(FrameType.ACTOR_DIED, 0, frame.session, 0, 0, struct.pack("<Ii", 8, 9))
        ) + _reply(frame, frame.payload)

    with _Agent(PING=ping, RUN=_results((0, 0, bytes(24)))).guest() as guest:
        assert guest.ping() > 0
        assert [one.stat("/").size for one in guest.actors] == [0] * 8


def test_agent_of_another_version_is_refused() -> None:
    def hello(frame: Frame) -> bytes:
        return _greeting(frame, status=Status.UNSUPPORTED)

    with pytest.raises(HarnessError):
        _Agent(HELLO=hello).guest()


def test_machine_that_fails_when_measured_is_ended() -> None:
    machine = _Agent(PING=lambda frame: b"")
    with pytest.raises(GuestLostError):
        Guest.booted(cast(Machine, machine))
    assert machine.killed
