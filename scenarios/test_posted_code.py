# SPDX-License-Identifier: MIT
"""Defects of the posted code that the review does not mention: P1, P4 to P10, P12 to P14."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from harness.claims import claim
from harness.guest.actor import Actor
from harness.guest.call import checked
from harness.guest.guest import Guest
from harness.interface.attribute import Attribute
from harness.interface.descriptor import Descriptor
from harness.interface.find import Interface, find_interface
from harness.interface.names import AttributeName
from harness.interface.report import Report
from harness.oracle.expect import demand
from harness.oracle.kernel_log import KernelLog
from providers_sim import Fault, ProviderLoop
from scenarios.common import (
    demand_returns,
    demand_unreadable,
    next_request,
    registration_of,
    respawn_unprivileged,
    unregister,
    wait_until_leaving,
    wait_until_requested,
    wait_until_settled,
    wait_until_unregistered,
)
from tsmw.ops import Op, OpResult

_PAGE = 4096
_LONG = 4 * _PAGE  # bytes of a report that is read in parts
_ROUNDS, _ACCESSES = 400, 100


@claim("P1")
def test_a_nonce_that_is_a_prefix_is_stored(
    report: Report, provider: ProviderLoop, actors: tuple[Actor, ...], nonce: Callable[[], bytes]
) -> None:
    longer = nonce()
    report.write_inblob(longer)
    inblob = next_request(report, provider, actors[1], longer[:32]).inblob
    demand(inblob == longer[:32], f"the provider got a nonce of {len(inblob)} bytes, not of 32")


@claim("P4")
def test_a_provider_can_unregister_while_attributes_are_read(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    with provider.hold() as gate:
        first = report.start_attest(actors[1], nonce())
        wait_until_requested(gate, first)
        provider.going_away(keep_requests=True)
        # Unregistering waits for the report, for instance for the lock of its reader ...
        wait_until_leaving(actors[0], provider)
        second = actors[2].start_read(report.generation)
        wait_until_settled(second)  # ... and this reader may wait behind it, with an active file
    demand_returns(second, "deadlock with the unregistering: reading the generation")
    demand_returns(first, "reading the report")
    wait_until_unregistered(actors[0], provider)


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
    unregister(report.actor, provider)
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
    got = registration_of(successor, report.actor)
    demand(got == 0, "the next provider is rejected")
    own = find_interface(guest).report()
    with suppress(OSError):
        blob = own.actor.read_file(own.outblob.path)
        demand(blob == b"", f"{len(blob)} bytes were read before a nonce was written")
    demand(successor.requests == 0, "the next provider got a request before a nonce was written")


@claim("P7")
def test_a_report_read_in_parts_is_one_report(
    report: Report,
    interface: Interface,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    provider.fault("oversize", total=_LONG, times=2)
    report.write_inblob(nonce())
    with Descriptor(actors[1], report.outblob.path) as reader:
        whole = reader.pread(_PAGE, 0)
        with suppress(OSError):  # an open file may keep the nonce from being changed
            report.actor.write_file(report.inblob.path, _raw(interface, nonce()))
        try:
            while len(whole) <= _LONG and (part := reader.pread(_PAGE, len(whole))):
                whole += part
        except OSError:
            return  # the error says that the report has changed
    made = [issued.evidence.outblob for issued in provider.issued]
    demand(whole in made, "the parts are from different reports")


def _raw(interface: Interface, value: bytes) -> bytes:
    """Return what is written to the nonce's file: the bytes, or their hexadecimal text."""
    inblob = interface.report().inblob if interface.shared else None
    return inblob.encode(value) if inblob is not None else value


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
    provider.fail_next(errno.EIO, times=2)
    with provider.hold() as gate:
        first = report.start_attest(actors[1], nonce())
        wait_until_requested(gate, first)
        second = actors[2].start_read(report.outblob)
        wait_until_settled(second)
    for call in (first, second):
        call.results()
    kernel_log.assert_clean()


@claim("P10")
def test_a_provider_can_unregister_after_a_failure(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    provider.fail_next(errno.EIO)
    with suppress(OSError):
        report.write_inblob(nonce())
        report.read_outblob()
    unregister(report.actor, provider)
    kernel_log.assert_clean()


@claim("P12")
def test_success_without_a_report_gives_no_bytes(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    previous = report.read_outblob()
    # Like a driver that returns success, and sets neither the report nor its length.
    provider.faults.add(Fault(no_outblob=True, keep_lengths=True), times=2)
    allowed = {b"", previous[:_PAGE]}  # the latter if the nonce is not stored without a report
    with suppress(OSError):
        report.write_inblob(nonce())
        allowed = {b""}
    blob = b""
    with suppress(OSError), Descriptor(report.actor, report.outblob.path) as reader:
        blob = reader.read(_PAGE)  # an error is allowed, too
    demand(blob in allowed, f"there is no report, but {len(blob)} bytes were read")
    kernel_log.assert_clean()
    provider.faults.clear()
    report.write_inblob(nonce())
    report.read_outblob()  # the next report is valid


@claim("P13")
def test_an_unprivileged_user_cannot_read_the_nonce(
    report: Report, actors: tuple[Actor, ...], nonce: Callable[[], bytes]
) -> None:
    own = nonce()
    report.write_inblob(own)
    respawn_unprivileged(actors[3])
    demand_unreadable(report, actors[3], own)


@claim("P14")
def test_a_slow_report_does_not_block_reading_the_generation(
    interface: Interface,
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    other = interface.report(actors[2])
    with provider.hold() as gate:
        slow = report.start_attest(actors[1], nonce())
        wait_until_requested(gate, slow)
        demand_returns(actors[2].start_read(other.generation), "reading the generation")
    slow.result()
