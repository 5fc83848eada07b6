# SPDX-License-Identifier: MIT
"""Defects of the posted code that the review does not mention: P1, P4 to P10, P12 to P14."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from harness.claims import claim
from harness.errors import ClaimViolatedError
from harness.guest.actor import Actor
from harness.guest.call import checked
from harness.guest.guest import Guest
from harness.guest.stacks import PROVIDER_LEAVES, find_blocked, wait_for_blocked
from harness.interface.attribute import Attribute
from harness.interface.descriptor import Descriptor
from harness.interface.find import Interface, find_interface
from harness.interface.names import AttributeName
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from harness.oracle.kernel_log import KernelLog
from providers_sim import Fault, ProviderLoop
from scenarios.common import demand_not_blocked, next_request, respawn_unprivileged
from tsmw.ops import Op, OpResult

_PAGE = 4096
_ROUNDS, _ACCESSES = 400, 100


@claim("P1")
def test_a_nonce_that_is_a_prefix_is_stored(
    report: Report, provider: ProviderLoop, actors: tuple[Actor, ...], nonce: Callable[[], bytes]
) -> None:
    longer = nonce()
    report.write_inblob(longer)
    report.write_inblob(longer[:32])
    inblob = next_request(report, provider, actors[1]).inblob
    demand(inblob == longer[:32], f"the provider got a nonce of {len(inblob)} bytes, not of 32")


@claim("P4")
def test_a_provider_can_unregister_while_attributes_are_read(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    with provider.hold() as gate:
        first = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        provider.going_away(keep_requests=True)
        # Unregistering waits for the lock, which the reader of the report holds ...
        wait_for_blocked(actors[0], PROVIDER_LEAVES)
        second = actors[2].start_read(report.generation)
        with suppress(ClaimViolatedError):  # reading a number may take no lock
            second.wait_until_blocked()  # ... and this reader waits behind it, with an active file
    while not second.done():
        removing = find_blocked(actors[0], PROVIDER_LEAVES, "kernfs_drain")
        demand(
            not (removing and second.blocked()),
            "deadlock: unregistering waits for the reader of the generation, which waits for the "
            "lock that unregistering holds",
        )
    first.results()
    demand(provider.wait_registered() == errno.ENXIO, "the provider is still registered")


@claim("P5")
def test_open_files_return_errors_after_unregistering(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    kernel_log: KernelLog,
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    opened = [Descriptor(actors[1], report.outblob.path)]
    opened += [Descriptor(actors[1], file.path) for file in _readable(report)]
    provider.going_away()
    provider.wait_registered()
    for descriptor in opened:
        try:
            descriptor.read(_PAGE)
        except OSError:
            continue  # any error is allowed, an oops is not
    kernel_log.assert_clean()


def _readable(report: Report) -> list[Attribute]:
    names: tuple[AttributeName, ...] = ("generation", "provider", "privlevel_floor")
    return [report.attribute(name) for name in names if report.has(name)]


@claim("P6", only="class")
def test_a_new_provider_has_no_nonce(
    report: Report, guest: Guest, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    successor = guest.attach(provider.provider.clone())
    demand(successor.wait_registered() == 0, "the next provider is rejected")
    own = find_interface(guest).report()
    with raises_errno(errno.EINVAL):
        own.actor.read_file(own.outblob.path)
    demand(successor.requests == 0, "the next provider got a request before a nonce was written")


@claim("P7")
def test_a_report_read_in_parts_is_one_report(
    report: Report,
    interface: Interface,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    provider.fault("oversize", total=4 * _PAGE, times=2)
    report.write_inblob(nonce())
    with Descriptor(actors[1], report.outblob.path) as reader:
        parts = [reader.pread(_PAGE, 0)]
        report.actor.write_file(report.inblob.path, _raw(interface, nonce()))
        try:
            parts += [reader.pread(_PAGE, at * _PAGE) for at in range(1, 4)]
        except OSError as error:
            demand(
                error.errno == errno.ESTALE, f"reading the next part fails with {error.strerror}"
            )
            return  # the error says that the report has changed
    whole = b"".join(parts)
    made = [issued.evidence.outblob for issued in provider.issued]
    demand(whole in made, "the parts are from different reports")


def _raw(interface: Interface, value: bytes) -> bytes:
    """Return what is written to the nonce's file: the bytes, or their hexadecimal text."""
    inblob = interface.report().inblob if interface.shared else None
    return inblob.encode(value) if inblob is not None else value


@claim("P8", only="class", needs="privlevel")
def test_options_are_read_under_the_lock(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    with provider.hold() as gate:
        making = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        # The lock is held, and a writer waits for it: every further caller has to wait, too.
        writing = actors[2].start_write(report.privlevel, 3)
        writing.wait_until_blocked()
        reading = actors[3].start_read(report.privlevel)
        reading.wait_until_blocked()
    for call in (making, writing, reading):
        call.results()


@claim("P8", only="class", needs="privlevel", sanitizer="kcsan", processors=2)
def test_reading_an_option_is_not_a_data_race(
    report: Report,
    actors: tuple[Actor, ...],
    kernel_log: KernelLog,
) -> None:
    # KCSAN watches every n-th access for some microseconds. With these values the guest spends
    # about half of its time on watching.
    for name, value in (("skip_watch", b"200"), ("udelay_task", b"200")):
        actors[0].write_file(f"/sys/module/kcsan/parameters/{name}", value)
    path = report.privlevel.path
    reading = [Op.open(path), *[Op.pread(16, 0)] * _ACCESSES]
    writing = [Op.open(path, os.O_WRONLY)]
    writing += [Op.pwrite(level, 0) for level in (b"1", b"2")] * (_ACCESSES // 2)
    reader, writer = actors[4], actors[5]
    for cpu, actor in enumerate((reader, writer)):
        actor.spawn(cpu=cpu)
    for _ in range(_ROUNDS):
        calls = [reader.start([*reading, Op.close()], _done, "many reads of privlevel")]
        calls += [writer.start([*writing, Op.close()], _done, "many writes of privlevel")]
        for call in calls:
            call.result()
        kernel_log.assert_clean()


def _done(results: Sequence[OpResult]) -> None:
    checked(results, "privlevel")


@claim("P9")
def test_concurrent_failing_readers_free_the_old_report_once(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    kernel_log: KernelLog,
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    report.write_inblob(nonce())
    provider.fail_next(errno.EIO, times=2)
    with provider.hold() as gate:
        first = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        second = actors[2].start_read(report.outblob)
        second.wait_until_blocked()
    got = (first.error(), second.error())
    demand(got == (errno.EIO, errno.EIO), f"the readers got errno {got}, not EIO each")
    kernel_log.assert_clean()


@claim("P10")
def test_a_provider_can_unregister_after_a_failure(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    report.write_inblob(nonce())
    provider.fail_next(errno.EIO)
    with raises_errno(errno.EIO):
        report.read_outblob()
    provider.going_away()
    provider.wait_registered()
    kernel_log.assert_clean()


@claim("P12")
def test_success_without_a_report_gives_no_bytes(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    report.write_inblob(nonce())
    # Like a driver that returns success, and sets neither the report nor its length.
    provider.faults.add(Fault(no_outblob=True, keep_lengths=True), times=2)
    blob = b""
    with suppress(OSError), Descriptor(report.actor, report.outblob.path) as reader:
        blob = reader.read(_PAGE)  # an error is allowed, too
    demand(blob == b"", f"there is no report, but {len(blob)} bytes were read")
    kernel_log.assert_clean()
    provider.faults.clear()
    report.write_inblob(nonce())
    report.read_outblob()  # the next report is valid


@claim("P13")
def test_an_unprivileged_user_cannot_read_the_nonce(
    report: Report, actors: tuple[Actor, ...], nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    respawn_unprivileged(actors[3])
    with raises_errno(errno.EACCES):
        actors[3].read_file(report.inblob.path)


@claim("P14")
def test_a_slow_report_does_not_block_reading_the_generation(
    interface: Interface,
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    other = interface.report(actors[2])
    report.write_inblob(nonce())
    with provider.hold() as gate:
        slow = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        demand_not_blocked(actors[2].start_read(other.generation), "reading the generation")
    slow.result()
