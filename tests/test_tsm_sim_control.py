# SPDX-License-Identifier: MIT
"""The provider driver's attribute ``control``: a guest lets the provider leave and return."""

from __future__ import annotations

import errno
import signal
import stat

import pytest

from harness.guest.call import Call
from harness.guest.stacks import PROVIDER_LEAVES
from tests.conftest import Clone
from tests.driver import (
    CORRECT,
    IMPLEMENTATIONS,
    NEXT_NONCE,
    Driver,
    StartDriver,
    start_driver,
    wait_until_closed,
)

__all__ = ["start_driver"]  # the fixture

_CONTROL = "/sys/class/misc/tsm_sim/control"
_CONFIGFS = ("mainline", "configfs-fixed")


def _start_control(driver: Driver, command: str, actor: int = 0) -> Call[None]:
    return driver.guest.actors[actor].start_write_file(_CONTROL, command.encode())


def _control(driver: Driver, command: str) -> int:
    """Write a command; return its errno, 0 for success."""
    return _start_control(driver, command).error()


def _registrations(driver: Driver) -> int:
    """How many results of a registration the driver sent to the host."""
    return sum(entry.type == "REGISTERED" for entry in driver.provider.transcript.items())


def _return_and_check(driver: Driver, command: str = "return") -> None:
    driver.remove_entry()
    assert _control(driver, command) == 0
    driver.make_report()
    driver.assert_works()


@pytest.mark.parametrize("tsm", [*IMPLEMENTATIONS, "configfs-fixed"])
def test_the_provider_leaves_and_returns(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    session = driver.provider.session
    for _ in range(3):
        assert _control(driver, "leave\n") == 0
        assert driver.is_unregistered()
        assert _control(driver, "leave") == errno.EALREADY
        _return_and_check(driver)
        assert _control(driver, "return") == errno.EALREADY
    assert (driver.provider.session, _registrations(driver)) == (session, 1)
    assert stat.S_IMODE(driver.guest.actors[0].stat(_CONTROL).mode) == 0o200


@pytest.mark.parametrize("tsm", _CONFIGFS)
def test_return_has_the_errno_of_the_registration(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    assert _control(driver, "leave") == 0
    assert _control(driver, "return") == errno.EBUSY  # an entry exists
    assert driver.start_read().error() == errno.ENXIO
    _return_and_check(driver)


@pytest.mark.parametrize("tsm", CORRECT)
def test_leave_waits_for_a_report(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    with driver.provider.hold() as gate:
        read = driver.start_read()
        gate.wait_for_request()
        leave = _start_control(driver, "leave", actor=3)
        leave.wait_until_blocked(PROVIDER_LEAVES)
        waiting = _start_control(driver, "second", actor=2)
        waiting.wait_until_blocked("tsm_sim_run_command")
        waiting.actor.kill()
        assert waiting.actor.wait_until_dead(seconds=5) == signal.SIGKILL
        assert driver.counters()["in_flight"] == 1
    # The class has removed its device before the last page is read.
    assert read.results()[1].data
    assert leave.result() is None
    assert driver.is_unregistered()
    _return_and_check(driver)


@pytest.mark.parametrize("tsm", _CONFIGFS)
def test_return_with_another_description(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    longest = "n" * 64
    for name, floor, attrs, bin_attrs in (
        ("other", "2", "0xffffffff", "-1"),
        (longest, "0", "4294967295", "0x3"),
        ("few", "0x1", "0x7b", "0x1"),  # without privlevel, which is bit 2
    ):
        assert _control(driver, "leave") == 0
        driver.remove_entry()
        assert _control(driver, f"return {name} {floor} {attrs} {bin_attrs}\n") == 0
        driver.make_report()
        assert driver.report.read("provider") == name.encode() + b"\n"
        if driver.report.has("privlevel_floor"):
            assert int(driver.report.read("privlevel_floor")) == int(floor, 0)
        assert driver.report.has("privlevel") == (name != "few")
        assert driver.report.has("outblob") == (bin_attrs != "0x1")
        assert driver.report.has("auxblob") == (bin_attrs == "-1")
    # HELLO describes the provider again.
    driver.remove_entry()
    driver.provider.reset()
    assert driver.provider.wait_registered() == 0
    driver.make_report()
    assert driver.report.read("provider") == b"sev_guest\n"
    driver.assert_works()


def test_return_of_a_class_without_privlevel(start_driver: StartDriver) -> None:
    driver = start_driver("class-fixed")
    assert driver.report.has("privlevel")
    assert _control(driver, "leave") == 0
    assert _control(driver, "return plain 0 0 0") == 0
    driver.make_report()
    assert not driver.report.has("privlevel")
    driver.assert_works()


@pytest.mark.parametrize(
    ("tsm", "second", "stranger"),
    [
        ("mainline", errno.EBUSY, errno.EBUSY),
        ("configfs-fixed", errno.EBUSY, errno.EBUSY),
        ("class-fixed", errno.EBUSY, errno.EBUSY),
        ("defect:second-register", 0, errno.EBUSY),
    ],
)
def test_second_and_unknown_provider(
    start_driver: StartDriver, tsm: str, second: int, stranger: int
) -> None:
    driver = start_driver(tsm)
    assert _control(driver, "second") == second
    assert _control(driver, "stranger") == stranger
    driver.report.write_inblob(NEXT_NONCE)
    assert driver.report.read_outblob() == driver.provider.issued[-1].evidence.outblob
    # Alone, the second provider is accepted. It leaves at once.
    assert _control(driver, "leave") == 0
    driver.remove_entry()
    assert _control(driver, "second") == 0
    assert _control(driver, "stranger") == stranger
    assert driver.is_unregistered()
    assert _control(driver, "return") == 0
    driver.make_report()
    driver.report.write_inblob(NEXT_NONCE)
    assert NEXT_NONCE in driver.report.read_outblob()
    driver.guest.detach()
    wait_until_closed(driver.guest)
    driver.guest.actors[0].rmmod("tsm_sim")


def test_malformed_commands_change_nothing(start_driver: StartDriver) -> None:
    driver = start_driver("mainline")
    words = ("x", "leave now", "Leave", "returns", "return a", "return a 1 2", "x return a 1 2 3")
    for text in (*words, "return a 1 2 x", "return a 1 2 3 4", "return a 1 2 3x"):
        assert _control(driver, text) == errno.EINVAL, text
    for size in (65, 66, 200):
        command = f"return {'1' * size} 1 2 3"
        assert _control(driver, command) in (errno.EINVAL, errno.ENAMETOOLONG)
    driver.assert_works()


@pytest.mark.parametrize("tsm", CORRECT)
def test_a_host_that_goes_ends_a_waiting_leave(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    with driver.provider.hold() as gate:
        read = driver.start_read()
        gate.wait_for_request()
        leave = _start_control(driver, "leave")
        leave.wait_until_blocked(PROVIDER_LEAVES)
        driver.guest.detach()
        assert read.error() == errno.ENXIO
        assert leave.result() is None
    wait_until_closed(driver.guest)
    for command in ("leave", "return", "second", "stranger"):
        assert _control(driver, command) == errno.ENXIO
    driver.remove_entry()
    driver.provider = driver.attach()
    assert driver.provider.wait_registered() == 0
    driver.make_report()
    driver.assert_works()


@pytest.mark.parametrize("tsm", CORRECT)
def test_host_and_control_at_the_same_time(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    driver.remove_entry()
    for _ in range(10):
        calls = [_start_control(driver, text, slot) for slot, text in
                 enumerate(("leave", "return", "second", "leave"))]  # fmt: skip
        driver.provider.reset()
        assert driver.provider.wait_registered() in (0, errno.EBUSY)
        allowed = (0, errno.ENXIO, errno.EALREADY, errno.EBUSY)
        assert all(call.error() in allowed for call in calls)
    _control(driver, "return")
    driver.make_report()
    driver.assert_works()
    driver.guest.detach()
    wait_until_closed(driver.guest)
    driver.guest.actors[0].rmmod("tsm_sim")


def test_without_a_host_every_command_fails(clone: Clone) -> None:
    guest = clone("mainline")
    for command in (b"leave", b"return", b"return a 0 0 0", b"second", b"stranger"):
        assert guest.actors[0].start_write_file(_CONTROL, command).error() == errno.ENXIO
    guest.actors[0].rmmod("tsm_sim")
