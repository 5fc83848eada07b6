# SPDX-License-Identifier: MIT
"""A guest: actors, modules, relay and kernel log."""

from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from harness.detectors import SplatKind
from harness.errors import (
    ActorDiedError,
    ClaimViolatedError,
    DeadlineError,
    GuestCallError,
    GuestLostError,
    KernelSplatError,
    ScenarioError,
)
from harness.guest.actor import Actor
from harness.guest.agent import AgentClient
from harness.guest.call import Call
from harness.guest.guest import Guest
from harness.guest.raw_provider import RawProvider
from harness.guest.stacks import find_blocked
from harness.interface.find import find_interface
from harness.interface.report import Report
from harness.progress import NullProgress
from harness.qemu.machine import Machine
from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_PROVIDER, Settings
from harness.timeouts import Timeouts
from providers_sim import ProviderLoop
from tests.conftest import Attach, Clone
from tests.driver import wait_until
from tsmw.agent import AgentHello
from tsmw.constants import ActorPhase, FrameType
from tsmw.ops import Op, OpResult, decode_stat

_REPORTS = "/sys/kernel/config/tsm/report"
_MODULES = "/run"
_READ = "0 "  # how /proc/PID/syscall begins in read(2) on x86-64
_NOBODY = 65534
_NONCE = b"n" * 64


@pytest.fixture
def provider(guest: Guest, attach: Attach) -> ProviderLoop:
    return attach(guest)


@pytest.fixture
def report(guest: Guest, provider: ProviderLoop) -> Report:
    entry = find_interface(guest).report()
    entry.write_inblob(_NONCE)
    return entry


def _unchanged(results: Sequence[OpResult]) -> Sequence[OpResult]:
    return results


# Actors


def test_batch_returns_results_and_times_in_order(guest: Guest) -> None:
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
    before = actor.start([Op.stat("/")], _unchanged, "stat").result()[0]
    call = actor.start(ops, _unchanged, "batch")
    results = call.results()
    after = actor.start([Op.stat("/")], _unchanged, "stat").result()[0]
    assert call.error() == errno.ENOTDIR
    assert len(results) == 11  # nothing runs after the first error
    assert [result.err for result in results] == [0] * 10 + [errno.ENOTDIR]
    assert [results[at].ret for at in (2, 3, 4, 5, 6, 7, 9, 10)] == [11, 1, 1, 4, 5, 0, 1, -1]
    assert [results[at].data for at in (5, 6, 9)] == [b"ello", b"World", b"f\0"]
    status = decode_stat(results[8].data)
    assert stat.S_ISREG(status.mode)
    assert (status.mode & 0o777, status.uid, status.size) == (0o640, 0, 11)
    assert all(result.start_ns <= result.end_ns for result in results)
    assert all(result.end_ns <= following.start_ns for result, following in pairwise(results))
    assert before.end_ns <= results[0].start_ns <= results[-1].end_ns <= after.start_ns


def test_methods_of_an_actor_operate_on_files(guest: Guest) -> None:
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
        actor.write_file("/tmp/d", b"the file is not created")
    assert actor.read_file("/proc/self/comm") == b"actor-0\n"
    with pytest.raises(ScenarioError, match="longer than one batch"):
        actor.read_file("/dev/zero")


def test_failed_batch_leaves_no_descriptor_open(guest: Guest, report: Report) -> None:
    listing = f"/proc/{guest.actors[0].state().pid}/fd"
    before = guest.actors[1].list(listing)
    for _ in range(3):
        with pytest.raises(GuestCallError) as caught:
            report.write_inblob(bytes(65))
        assert caught.value.errno == errno.EFBIG
    assert guest.actors[1].list(listing) == before


def test_state_of_an_actor_blocked_in_the_provider(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    reader = guest.actors[1]
    assert reader.state().phase == ActorPhase.IDLE
    with provider.hold() as gate:
        call = reader.start_read(report.outblob)
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


def test_wait_until_blocked_fails_when_the_call_returns(guest: Guest) -> None:
    call = guest.actors[1].start([Op.stat("/tmp")], _unchanged, "stat of /tmp")
    with pytest.raises(ClaimViolatedError, match="stat of /tmp by actor 1> returned"):
        call.wait_until_blocked()
    assert call.result()[0].err == 0


def test_deadline_error_shows_the_kernel_stack_of_the_actor(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    guest.timeouts = Timeouts()
    with provider.hold() as gate:
        call = guest.actors[1].start_read(report.outblob)
        gate.wait_for_request()
        call.wait_until_blocked()
        with pytest.raises(DeadlineError, match=r"within 0\.2 s") as caught:
            call.result(seconds=0.2)
        assert "actor 1" in str(caught.value)
        assert "the actor is in the kernel at [<0>] " in str(caught.value)
        assert "[tsm_sim]" in str(caught.value)
        with pytest.raises(DeadlineError, match="blocking in no_such_function did not happen"):
            call.wait_until_blocked("no_such_function", seconds=0.2)
    assert _NONCE in call.result()  # a missed deadline does not end the call


def test_actors_run_system_calls_concurrently(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    with provider.hold() as gate:
        ops = [Op.open(report.outblob.path), Op.read(4096), Op.close()]
        calls = [actor.start(ops, _unchanged, "read") for actor in guest.actors[1:4]]
        gate.wait_for_request()
        for call in calls:
            call.wait_until_blocked()
        assert provider.requests == 1
    reads = [call.result()[1] for call in calls]
    assert {read.ret for read in reads} == {1184}
    assert max(read.start_ns for read in reads) < min(read.end_ns for read in reads)


def _start_read_of_next_log_record(actor: Actor) -> Call[Sequence[OpResult]]:
    """Start a read that blocks until the kernel logs another record."""
    ops = [Op.open("/dev/kmsg"), Op.lseek(0, os.SEEK_END), Op.read(8192), Op.close()]
    return actor.start(ops, _unchanged, "read of the next log record")


def test_busy_actor_refuses_a_second_batch(guest: Guest) -> None:
    waiting = _start_read_of_next_log_record(guest.actors[1])
    waiting.wait_until_blocked()
    with pytest.raises(ScenarioError, match="refused: the actor is busy"):
        guest.actors[1].read_file("/proc/uptime")
    guest.actors[2].write_file("/dev/kmsg", b"wake up\n")
    assert waiting.result()[2].data.endswith(b";wake up\n")


def test_argument_that_no_message_can_carry_raises_scenario_error(guest: Guest) -> None:
    actor = guest.actors[1]
    for call in (
        lambda: actor.read_file(""),
        lambda: actor.mkdir("/a\0b"),
        lambda: actor.insmod("/m.ko", "a=1\0"),
        lambda: actor.run(Op.read(1 << 32, 0), "read"),
        lambda: actor.spawn(uid=-1),
        lambda: _register_second_provider(actor, "a name with a NUL: \0"),
    ):
        with pytest.raises(ScenarioError):
            call()
    assert actor.read_file("/proc/uptime")


def _register_second_provider(actor: Actor, name: str) -> int:
    with RawProvider(actor) as second:
        return second.register(name)


def test_unprivileged_actor_can_read_but_not_write(guest: Guest, report: Report) -> None:
    actor = guest.actors[4]
    assert actor.state().phase == ActorPhase.DEAD
    actor.spawn(uid=_NOBODY, gid=_NOBODY, cpu=0)
    status = actor.state().status
    assert f"Uid:\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\n" in status
    assert f"Gid:\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\t{_NOBODY}\n" in status
    assert "CapEff:\t0000000000000000\n" in status
    assert "Cpus_allowed_list:\t0\n" in status
    assert actor.start_write(report.inblob, b"x" * 64).error() == errno.EACCES
    assert _NONCE in actor.start_read(report.outblob).result()
    with pytest.raises(GuestCallError) as caught:
        actor.mkdir(f"{_REPORTS}/other-user")
    assert caught.value.errno == errno.EACCES
    boot_module = (
        actor.read_file("/etc/modules-load").decode().split()[0]
    )  # every user can read this file
    with pytest.raises(GuestCallError) as caught:
        actor.insmod(boot_module)
    assert caught.value.errno == errno.EPERM
    with pytest.raises(ScenarioError, match="refused SPAWN"):
        guest.actors[5].spawn(cpu=63)


def test_slot_of_a_killed_actor_is_spawned_again(guest: Guest) -> None:
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


def test_actor_killed_in_the_provider(guest: Guest, provider: ProviderLoop, report: Report) -> None:
    with provider.hold() as gate:
        call = guest.actors[1].start_read(report.outblob)
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


def test_every_use_of_a_guest_that_ended_raises_guest_lost_error(guest: Guest) -> None:
    waiting = _start_read_of_next_log_record(guest.actors[1])
    guest.machine.kill()
    uses: list[Callable[[], object]] = [
        waiting.result,
        waiting.wait_until_blocked,
        guest.actors[0].state,
        guest.session.ping,
        guest.log.splats,
        lambda: guest.actors[0].read_file("/proc/uptime"),
    ]
    for use in uses:
        with pytest.raises(GuestLostError, match="QEMU ended with status -9"):
            use()
    assert guest.actors[1].describe_state() == "in a guest that does not answer"


def test_guest_lists_calls_without_those_that_only_observe(guest: Guest) -> None:
    first = guest.actors[1].start([Op.stat("/")], _unchanged, "first")
    second = guest.actors[0].start([Op.stat("/")], _unchanged, "second")
    assert second.error() == 0
    guest.actors[0].read_file("/proc/uptime", in_timeline=False)
    assert find_blocked(guest.actors[0], "no_such_function") is None
    assert guest.calls == [first, second]
    assert guest.open_calls == [second, first]
    first.result()
    assert guest.open_calls == [second]
    guest.settle()
    assert guest.open_calls == []


# The agent port


def _reply_to_a_new_host(machine: Machine, timeouts: Timeouts) -> AgentHello:
    """Connect, open a session and disconnect; return the agent's reply to HELLO."""
    connection = machine.connect("agent")
    try:
        client = AgentClient(connection, on_log=lambda _: None, on_death=lambda *_: None)
        deadline = timeouts.deadline(10.0, "the reply to a new host")
        hello = client.receive_hello(client.send_hello(), deadline)
        client.call(FrameType.PING, b"", deadline)
        return hello
    finally:
        connection.close()


def test_host_that_connects_directly_after_another_gets_its_replies() -> None:
    # The kernel may report a disconnect after the agent has read the HELLO of the next host. With
    # two processors, this happens to 1 to 4 of 100 hosts.
    with Session(Settings(smp=2), NullProgress()) as session:
        template = session.template(DEFAULT_KERNEL, "mainline")
        with session.factory(DEFAULT_KERNEL).clone(template) as guest:
            guest.session.client.close()
            for _ in range(400):
                hello = _reply_to_a_new_host(guest.machine, guest.timeouts)
                assert hello.actors == len(guest.actors)


# Modules


@pytest.fixture
def class_module(session: Session, guest: Guest) -> str:
    """The path in the guest of a module that is not loaded."""
    load = session.build(DEFAULT_KERNEL, "class-fixed").loads[0]
    guest.actors[0].create_file(load.path, load.content.read_bytes())
    return load.path


def test_module_is_loaded_and_unloaded(guest: Guest, class_module: str) -> None:
    actor = guest.actors[0]
    actor.insmod(class_module, "defects=double-free,stale-tail")
    parameter = "/sys/module/tsm_class/parameters/defects"
    assert actor.read_file(parameter) == b"double-free,stale-tail\n"
    assert actor.exists("/sys/class/tsm")
    assert "tsm_class" in actor.list("/sys/module")
    actor.rmmod("tsm_class")
    assert not actor.exists("/sys/class/tsm")
    assert "tsm_class" not in actor.list("/sys/module")


@pytest.mark.usefixtures("class_module")
@pytest.mark.parametrize(
    ("path", "parameters", "expected"),
    [
        (f"{_MODULES}/tsm-class.ko", "defects=no-such-defect", errno.EINVAL),
        (f"{_MODULES}/tsm.ko", "", errno.EEXIST),
        (f"{_MODULES}/none.ko", "", errno.ENOENT),
        (f"{_MODULES}/tsm-sim.ko", "", errno.EEXIST),
        ("/proc/version", "", errno.EINVAL),
    ],
)
def test_module_that_cannot_be_loaded_changes_nothing(
    guest: Guest, path: str, parameters: str, expected: int
) -> None:
    before = guest.actors[0].list("/sys/module")
    with pytest.raises(GuestCallError) as caught:
        guest.actors[0].insmod(path, parameters)
    assert caught.value.errno == expected
    assert caught.value.filename == f"insmod {path} {parameters}".strip()
    assert guest.actors[0].list("/sys/module") == before


def test_module_in_use_is_not_unloaded(guest: Guest, provider: ProviderLoop) -> None:
    actor = guest.actors[0]
    for name in ("tsm", "tsm_sim"):
        with pytest.raises(GuestCallError) as caught:
            actor.rmmod(name)
        assert caught.value.errno == errno.EAGAIN
    with pytest.raises(GuestCallError) as caught:
        actor.rmmod("no_such_module")
    assert caught.value.errno == errno.ENOENT
    guest.relay(start=False)  # closes the device, the only user of the driver
    actor.rmmod("tsm_sim")
    actor.rmmod("tsm")
    assert not actor.exists(_REPORTS)


# The relay between the provider device and the provider port


def test_restarted_relay_registers_the_provider_again(guest: Guest, provider: ProviderLoop) -> None:
    actor, session = guest.actors[0], provider.session
    guest.relay(start=False)
    with pytest.raises(GuestCallError) as caught:
        actor.mkdir(f"{_REPORTS}/early")
    assert caught.value.errno == errno.ENXIO
    guest.relay(start=False)  # stopping it again has no effect
    guest.relay(start=True)
    with pytest.raises(ScenarioError, match="refused RELAY: BUSY"):
        guest.relay(start=True)
    wait_until(guest, lambda: provider.session != session, "the driver's next HELLO")
    assert provider.wait_registered() == 0
    entry = find_interface(guest).report()
    entry.write_inblob(_NONCE)
    assert _NONCE in entry.read_outblob()
    guest.log.assert_clean()


def test_stopped_relay_fails_the_request_in_flight(
    guest: Guest, provider: ProviderLoop, report: Report
) -> None:
    with provider.hold() as gate:
        call = guest.actors[1].start_read(report.outblob)
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        guest.relay(start=False)
        assert call.error() == errno.ENXIO
    assert report.actor.start_read(report.outblob).error() == errno.ENXIO
    guest.log.assert_clean()


def _has_provider(guest: Guest) -> bool:
    """Return whether a provider is registered: mkdir() of an entry fails without a provider."""
    entry = f"{_REPORTS}/probe"
    if guest.actors[0].start([Op.mkdir(entry)], _unchanged, "mkdir").error():
        return False
    guest.actors[0].rmdir(entry)
    return True


def test_process_gets_a_fifo_priority(guest: Guest) -> None:
    sleeper = guest.actors[2]
    stat = f"/proc/{sleeper.state().pid}/stat"

    def policy() -> int:
        return int(guest.actors[0].read_file(stat).rpartition(b")")[2].split()[38])

    assert policy() == os.SCHED_OTHER
    guest.actors[0].set_fifo_priority(sleeper.state().pid, 7)
    assert policy() == os.SCHED_FIFO
    with pytest.raises(OSError, match="Invalid argument"):
        guest.actors[0].set_fifo_priority(sleeper.state().pid, 100)
    with pytest.raises(OSError, match="No such process"):
        guest.actors[0].set_fifo_priority(2**22 + 1)


def test_second_provider_is_attached_after_the_first_is_detached(
    guest: Guest, provider: ProviderLoop, attach: Attach
) -> None:
    guest.detach()
    assert provider.closed
    wait_until(guest, lambda: not _has_provider(guest), "the end of the provider")
    second = attach(guest)
    entry = find_interface(guest).report()
    entry.write_inblob(_NONCE)
    assert _NONCE in entry.read_outblob()
    assert (provider.requests, second.requests) == (0, 1)


def test_providers_replace_each_other_without_a_wait(guest: Guest, session: Session) -> None:
    for seed in range(6):
        loop = guest.attach(session.provider(DEFAULT_PROVIDER, seed))
        assert loop.wait_registered() == 0
    entry = find_interface(guest).report()
    entry.write_inblob(_NONCE)
    assert _NONCE in entry.read_outblob()
    assert loop.requests == 1


# The kernel log


def test_log_has_a_line_that_an_actor_wrote(guest: Guest) -> None:
    guest.actors[1].write_file("/dev/kmsg", b"<4>before the mark\n")
    mark = guest.log.mark()
    guest.actors[1].write_file("/dev/kmsg", b"<4>a line of an actor\n")
    assert guest.log.splats(mark) == []
    (record,) = [record for record in guest.log.records if record.sequence >= mark]
    assert (record.text, record.level, record.from_kernel) == ("a line of an actor", 4, False)
    assert record.sequence == mark
    assert guest.log.mark() == mark + 1
    assert record.time_s > 0


def test_splat_that_a_program_wrote_is_ignored(guest: Guest) -> None:
    for line in (b"BUG: KASAN: double-free in kfree\n", b"<0>Kernel panic - not syncing: no\n"):
        guest.actors[0].write_file("/dev/kmsg", line)
    assert guest.log.splats() == []
    guest.log.assert_clean()


def test_log_keeps_lines_of_concurrent_writers_whole_and_in_order(guest: Guest) -> None:
    guest.actors[0].write_file("/dev/kmsg", b"before the mark\n")
    mark, lines = guest.log.mark(), 50
    calls = []
    for actor in guest.actors[:4]:
        writes = [Op.write(f"{actor!r} line {number}\n".encode()) for number in range(lines)]
        ops = [Op.open("/dev/kmsg", os.O_WRONLY), *writes, Op.close()]
        calls.append(actor.start(ops, _unchanged, "lines"))
    assert [call.error() for call in calls] == [0] * 4
    assert guest.log.mark() == mark + 4 * lines
    assert guest.log.lost == 0
    texts = [record.text for record in guest.log.records if record.sequence >= mark]
    for actor in guest.actors[:4]:
        written = [text for text in texts if text.startswith(f"{actor!r} ")]
        assert written == [f"{actor!r} line {number}" for number in range(lines)]


def test_splat_of_the_kernel_is_detected(clone: Clone, attach: Attach) -> None:
    guest = clone("class-posted")
    provider = attach(guest)
    entry = find_interface(guest).report()
    entry.write_inblob(b"\1" * 64)
    entry.read_outblob()
    entry.write_inblob(b"\2" * 64)
    provider.fail_next(errno.EIO)
    with pytest.raises(GuestCallError):
        entry.read_outblob()
    guest.log.assert_clean()
    mark = guest.log.mark()
    entry.read_outblob()  # frees the report again that the failed read has freed
    (splat,) = guest.log.splats(mark)
    assert (splat.kind, splat.first_sequence >= mark) == (SplatKind.SLUB, True)
    assert "already free" in splat.title
    with pytest.raises(KernelSplatError, match="already free"):
        guest.log.assert_clean()
