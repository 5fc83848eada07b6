# SPDX-License-Identifier: MIT
"""The provider driver in guests, with a provider that injects faults.

Every read returns a report or an errno, and the next report works.
"""

from __future__ import annotations

import errno
import re
import signal
import stat
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from harness.errors import ActorDiedError
from harness.guest.call import Call
from harness.interface.find import find_interface
from providers_sim import Fault
from providers_sim.faults import Corruption
from tests.conftest import Attach, Clone
from tests.driver import (
    CORRECT,
    IMPLEMENTATIONS,
    NONCE,
    OUTBLOB_MAX,
    Driver,
    StartDriver,
    start_driver,
    wait_until,
    wait_until_closed,
)
from tsmw.constants import Status

__all__ = ["start_driver"]  # the fixture

_TIMEOUT_MS = 600  # long enough for a reply on its way

# Several requests in flight: class-posted lets several readers call report_new at a time.


def _start_three_reads(driver: Driver, arrived: Callable[[int], object]) -> list[Call[bytes]]:
    """Start a read in three actors; call ``arrived`` with the number of each."""
    calls = []
    for number in (1, 2, 3):
        calls.append(driver.start_read(number))
        arrived(number)
    return calls


def test_replies_in_any_order_reach_their_readers(start_driver: StartDriver) -> None:
    driver = start_driver("class-posted")
    for missing in (16, 32, 48):  # the length identifies the report
        driver.provider.faults.truncated(missing)
    with driver.provider.hold() as gate:
        calls = _start_three_reads(driver, gate.wait_for_request)
        assert (gate.arrived, driver.provider.max_in_flight_seen) == (3, 3)
        assert driver.counters()["in_flight"] == 3
        replies = []
        for call in reversed(calls):
            assert gate.release(1, reverse=True) == 1
            replies.append(call.result())
    assert replies == [one.evidence.outblob for one in driver.provider.issued]
    assert [len(reply) for reply in replies] == [1184 - 48, 1184 - 32, 1184 - 16]
    assert driver.changed_counters() == {"frames_in": 3, "frames_out": 3}
    driver.guest.log.assert_clean()


def test_replies_in_one_burst_in_reverse_order(start_driver: StartDriver) -> None:
    driver = start_driver("class-posted")
    driver.provider.faults.duplicate(3)
    with driver.provider.hold() as gate:
        calls = _start_three_reads(driver, gate.wait_for_request)
        assert gate.release(reverse=True) == 3
        # class-posted serves the next page from a later report, or refuses it.
        replies = [call.results()[1].data for call in calls]
    issued = [one.evidence.outblob for one in driver.provider.issued]
    assert len(issued) == 3
    assert all(reply in issued for reply in replies)
    assert (driver.provider.max_in_flight_seen, driver.provider.in_flight) == (3, 0)
    wait_until(driver.guest, lambda: driver.counters()["duplicates"] == 3, "the second replies")
    assert driver.changed_counters() == {"frames_in": 6, "frames_out": 3, "duplicates": 3}
    driver.guest.log.assert_clean()


def test_killing_one_reader_cancels_only_its_request(start_driver: StartDriver) -> None:
    driver = start_driver("class-posted")
    with driver.provider.hold() as gate:
        first, second, third = _start_three_reads(driver, gate.wait_for_request)
        second.actor.kill()
        assert second.actor.wait_until_dead() == signal.SIGKILL
        driver.provider.wait_cancelled(1)
        assert driver.changed_counters() == {"frames_out": 4, "cancelled": 1, "in_flight": 2}
        assert gate.release(reverse=True) == 2
        issued = {call.results()[1].data for call in (first, third)}
    assert issued == {one.evidence.outblob for one in driver.provider.issued}
    assert driver.changed_counters() == {"frames_in": 2, "frames_out": 4, "cancelled": 1}
    driver.guest.log.assert_clean()


# One faulty reply: requests.c and reply.c define the errno.


@dataclass(frozen=True)
class FaultyReply:
    """A fault of one reply, the errno of the reader, and the counters that change."""

    fault: Fault
    errno: int
    counters: dict[str, int]
    size: int = 0


FAULTY = {
    "payload": FaultyReply(Fault(corrupt=Corruption.PAYLOAD), errno.EBADMSG, {"crc_errors": 1}),
    "lengths": FaultyReply(Fault(corrupt=Corruption.LENGTHS), errno.EBADMSG, {"frames_in": 1}),
    "garbage": FaultyReply(
        Fault(corrupt=Corruption.GARBAGE), 0, {"frames_in": 1, "resyncs": 1}, size=1184
    ),
    "duplicate": FaultyReply(
        Fault(duplicate=True), 0, {"frames_in": 2, "duplicates": 1}, size=1184
    ),
    "refused twice": FaultyReply(
        Fault(status=Status.IO, duplicate=True), errno.EIO, {"frames_in": 2, "duplicates": 1}
    ),
    "truncated": FaultyReply(Fault(truncated=184), 0, {"frames_in": 1}, size=1000),
    "empty": FaultyReply(Fault(empty=True), 0, {"frames_in": 1}, size=0),
    "vmalloc": FaultyReply(Fault(vmalloc=True), 0, {"frames_in": 1}, size=1184),
    "largest blob": FaultyReply(
        Fault(oversize=OUTBLOB_MAX, no_auxblob=True), 0, {"frames_in": 1}, size=OUTBLOB_MAX
    ),
    "too long for the implementation": FaultyReply(
        Fault(oversize=OUTBLOB_MAX + 1, no_auxblob=True), errno.EFBIG, {"frames_in": 1}
    ),
    # The first frame fails the request; the other frames of the reply are stale.
    "too long for the driver": FaultyReply(
        Fault(oversize=4 << 20), errno.EMSGSIZE, {"frames_in": 65, "stale": 64}
    ),
}


@pytest.mark.parametrize("tsm", CORRECT)
def test_after_a_faulty_reply_the_next_report_works(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    for name, case in FAULTY.items():
        driver.report.write_inblob(NONCE)
        driver.before = driver.counters()
        driver.provider.fault(case.fault)
        call = driver.start_read()
        assert call.error() == case.errno, name
        if not case.errno:
            assert call.result() == driver.provider.issued[-1].evidence.outblob, name
            assert len(call.result()) == case.size, name
        driver.assert_works()
        # Two frames are those of the next report.
        expected = {"frames_in": 0} | case.counters | {"frames_out": 2}
        expected["frames_in"] += 1
        assert driver.changed_counters() == expected, name
    assert driver.provider.requests == 2 * len(FAULTY)


@pytest.mark.parametrize("tsm", CORRECT)
def test_the_largest_reply_that_the_driver_accepts(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    announced = re.search(r"max_total=(\d+)", driver.provider.transcript.items()[0].summary)
    assert announced is not None
    limit = int(announced[1])
    for total, expected in ((limit, errno.EFBIG), (limit + 1, errno.EMSGSIZE)):
        driver.report.write_inblob(NONCE)  # mainline caches the failure
        driver.provider.fault(Fault(oversize=total, no_auxblob=True))
        assert driver.start_read().error() == expected
    assert driver.provider.requests == 2
    driver.assert_works()


@pytest.mark.parametrize("tsm", CORRECT)
def test_a_missing_reply_times_out(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm, _TIMEOUT_MS)
    driver.provider.faults.silent().corrupt("header").add(Fault(late=True, duplicate=True))
    for _ in range(3):
        assert driver.start_read().error() == errno.ETIMEDOUT
        assert driver.counters()["in_flight"] == 0
    driver.assert_works()
    assert driver.provider.cancelled == 2  # the host counts the damaged reply as a reply
    assert driver.changed_counters() == {
        "frames_in": 3,  # two late replies, and that of the next report
        "frames_out": 7,  # four requests, three cancellations
        "timeouts": 3,
        "resyncs": 1,
        "stale": 2,
    }


INJECTED = (
    errno.EIO, errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY, errno.ENOMEM, errno.EINTR,
    errno.ENXIO, errno.EBADMSG, 524, 4095,
)  # fmt: skip


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_injected_errno_reaches_the_reader(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    for number in INJECTED:
        driver.provider.fail_next(number)
    assert [driver.start_read().error() for _ in INJECTED] == list(INJECTED)
    driver.assert_works()
    assert driver.changed_counters() == {
        "frames_in": len(INJECTED) + 1,
        "frames_out": len(INJECTED) + 1,
    }


REFUSED = {
    Status.BUSY: errno.EBUSY,
    Status.INVALID: errno.EINVAL,
    Status.UNSUPPORTED: errno.EOPNOTSUPP,
    Status.NO_DEVICE: errno.ENXIO,
    Status.IO: errno.EIO,
    Status.TOO_BIG: errno.EFBIG,
    Status.NO_KEY: errno.ENOTTY,
    Status.BAD_MESSAGE: errno.EBADMSG,
    Status.TIMEOUT: errno.ETIMEDOUT,
    Status.INTERNAL: errno.EPROTO,
}


def test_every_status_has_a_case() -> None:
    assert set(Status) - set(REFUSED) == {Status.OK, Status.THROTTLED, Status.INJECT}


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_a_status_becomes_an_errno(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    for status in REFUSED:
        driver.provider.faults.refuse(status)
    assert [driver.start_read().error() for _ in REFUSED] == list(REFUSED.values())
    driver.assert_works()


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_a_throttled_request_is_repeated(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    driver.provider.faults.refuse(Status.THROTTLED, 3_600_000)  # fails at once: a late retry
    assert driver.start_read().error() == errno.ETIMEDOUT
    assert driver.provider.requests == 1
    driver.provider.faults.refuse(Status.THROTTLED, 1, times=3)
    assert driver.start_read().result() == driver.provider.issued[-1].evidence.outblob
    assert driver.provider.requests == 5
    assert driver.changed_counters() == {"frames_in": 5, "frames_out": 5}
    driver.assert_works()


@pytest.mark.parametrize("end", ["killed", "host gone"])
def test_a_throttled_reader_returns_before_its_retry(start_driver: StartDriver, end: str) -> None:
    driver = start_driver("mainline")
    driver.provider.faults.refuse(Status.THROTTLED, 25_000)  # less than the timeout of 30 s
    call = driver.start_read()
    driver.provider.wait_requests(1)
    wait_until(driver.guest, lambda: driver.changed_counters().get("frames_in"), "the reply")
    call.wait_until_blocked("report_new")
    if end == "killed":
        call.actor.kill()
        assert call.actor.wait_until_dead(seconds=5) == signal.SIGKILL
        driver.assert_works()
    else:
        driver.guest.detach()
        assert call.results(seconds=5)
        assert call.error() == errno.ENXIO
        driver.guest.log.assert_clean()


# What the driver adds to each request.

_MARK = "/sys/class/misc/tsm_sim/mark"


@pytest.mark.parametrize("tsm", CORRECT)
def test_a_request_has_the_mark_and_the_caller(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    actor = driver.guest.actors[0]
    assert actor.read_file(_MARK) == b"0\n"
    for slot, text, mark in ((1, b"", 0), (2, b"7\n", 7), (3, b"0xffffffff", 0xFFFF_FFFF)):
        if text:
            actor.write_file(_MARK, text)
        driver.report.write_inblob(NONCE)
        reader = driver.guest.actors[slot]
        driver.start_read(slot).result()
        request = driver.provider.issued[-1].request
        assert (request.mark, request.caller) == (mark, reader.state().pid)
    for refused in (b"4294967296", b"-1", b"x"):
        call = actor.start_write_file(_MARK, refused)
        assert call.error() == (errno.ERANGE if refused[0:1] == b"4" else errno.EINVAL), refused
    assert actor.read_file(_MARK) == b"4294967295\n"
    assert stat.S_IMODE(actor.stat(_MARK).mode) == 0o600
    driver.guest.log.assert_clean()


# Readers are killed, hosts close the port, providers unregister.


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_a_killed_reader_frees_its_request(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    driver.provider.fault("late")
    with driver.provider.hold() as gate:
        first = driver.start_read(1)
        gate.wait_for_request()
        first.wait_until_blocked("report_new")
        second = driver.start_read(2)
        second.wait_until_blocked()  # by a lock of the implementation, or in report_new too
        first.actor.kill()
        assert first.actor.wait_until_dead(seconds=5) == signal.SIGKILL
        with pytest.raises(ActorDiedError):
            first.result()
        driver.provider.wait_cancelled(1)
        gate.wait_for_request()
        assert driver.changed_counters()["cancelled"] == driver.changed_counters()["in_flight"] == 1
    assert second.result() == driver.provider.issued[-1].evidence.outblob
    driver.assert_works()
    assert driver.changed_counters() == {
        "frames_in": 3,
        "frames_out": 4,
        "cancelled": 1,
        "stale": 1,
    }


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_closing_the_port_fails_waiting_readers(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    with driver.provider.hold() as gate:
        first = driver.start_read(1)
        gate.wait_for_request()
        first.wait_until_blocked("report_new")
        second = driver.start_read(2)
        second.wait_until_blocked()
        driver.guest.detach()
        assert (first.error(), second.error()) == (errno.ENXIO, errno.ENXIO)
    wait_until_closed(driver.guest)
    assert driver.is_unregistered()
    gone = errno.ENOENT if driver.report.entry == "tsm0" else errno.ENXIO
    assert driver.start_read(3).error() == gone
    assert driver.counters()["in_flight"] == 0

    driver.remove_entry()
    driver.provider = driver.attach()
    assert driver.provider.wait_registered() == 0
    driver.make_report()
    driver.assert_works()


def test_the_host_gets_the_errno_of_a_registration(start_driver: StartDriver) -> None:
    driver = start_driver("mainline")
    driver.guest.detach()
    wait_until_closed(driver.guest)
    assert driver.attach().wait_registered() == errno.EBUSY  # an entry exists
    assert driver.start_read().error() == errno.ENXIO
    driver.guest.detach()
    wait_until_closed(driver.guest)
    driver.remove_entry()
    driver.provider = driver.attach()
    assert driver.provider.wait_registered() == 0
    driver.make_report()
    driver.assert_works()


def _registration_results(driver: Driver) -> list[str]:
    """The errno of each registration, as the transcript shows it."""
    sent = driver.provider.transcript.items()
    return [entry.summary for entry in sent if entry.type == "REGISTERED"]


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_reset_fails_only_requests_in_flight(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    session = driver.provider.session
    with driver.provider.hold() as gate:
        call = driver.start_read()
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        driver.provider.reset()
        assert call.error() == errno.ENXIO
        assert driver.counters()["in_flight"] == 0
    wait_until(
        driver.guest,
        lambda: len(_registration_results(driver)) == 2,
        "a registration after the reset",
    )
    assert _registration_results(driver) == ["errno=0", "errno=0"]
    assert driver.provider.session not in (0, session)
    driver.assert_works()  # on the same entry


def test_reports_work_after_each_of_several_resets(start_driver: StartDriver) -> None:
    driver = start_driver("mainline")
    for _ in range(5):
        driver.provider.reset()
        assert driver.provider.wait_registered() == 0
        driver.assert_works()


def test_a_reset_with_another_name_registers_again(start_driver: StartDriver) -> None:
    driver = start_driver("mainline")
    assert driver.report.read("provider") == b"sev_guest\n"
    driver.remove_entry()
    driver.provider.provider.kernel_name = "another_guest"  # type: ignore[misc]
    driver.provider.reset()
    assert driver.provider.wait_registered() == 0
    driver.make_report()
    assert driver.report.read("provider") == b"another_guest\n"


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_a_provider_unregisters_and_registers_again(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    with driver.provider.hold() as gate:
        call = driver.start_read()
        gate.wait_for_request()
        call.wait_until_blocked("report_new")
        driver.provider.going_away()
        assert call.error() == errno.ENXIO
    wait_until(driver.guest, lambda: len(_registration_results(driver)) == 2, "the unregistration")
    assert driver.is_unregistered()
    driver.remove_entry()
    driver.provider.reset()
    wait_until(
        driver.guest, lambda: len(_registration_results(driver)) == 3, "the next registration"
    )
    assert _registration_results(driver) == ["errno=0", f"errno={errno.ENXIO}", "errno=0"]
    driver.make_report()
    driver.assert_works()


@pytest.mark.parametrize("tsm", ["class-fixed", "mainline"])
@pytest.mark.parametrize("size", [4096, 12_289, 32_768])
def test_long_reports_are_read_to_their_end(
    clone: Clone, attach: Attach, tsm: str, size: int
) -> None:
    guest = clone(tsm)
    provider = attach(guest)
    report = find_interface(guest).report()
    report.write_inblob(bytes(range(64)))
    provider.fault(Fault(oversize=size, no_auxblob=True))
    assert report.read_outblob() == provider.issued[0].evidence.outblob
