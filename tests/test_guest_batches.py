# SPDX-License-Identifier: MIT
"""Batches in guests that repeat operations, and signals that interrupt a read of a report."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from harness.guest.actor import Actor
from tests.driver import IMPLEMENTATIONS, NONCE, StartDriver, start_driver
from tsmw.ops import Op, OpResult

__all__ = ["start_driver"]  # the fixture

_ROUNDS, _KILLS = 300, 400


def _run(actor: Actor, *ops: Op) -> list[OpResult]:
    return list(actor.start(ops, list, "a batch").result())


@pytest.mark.parametrize("tsm", [*IMPLEMENTATIONS, "configfs-fixed"])
def test_writes_are_repeated(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    before = int(driver.report.read("generation"))
    path = driver.report.inblob.path
    value = NONCE.hex().encode() if path.endswith("hex") else NONCE
    # class-posted does not count a write of the value that it has.
    values = [bytes([value[0] ^ 1]) + value[1:], value]
    write = [
        one for value in values for one in (Op.open(path, os.O_WRONLY), Op.write(value), Op.close())
    ]
    results = _run(driver.guest.actors[1], Op.repeat(_ROUNDS, len(write)), *write)
    assert [one.err for one in results] == [0] * 7
    assert results[0].ret == _ROUNDS
    assert int(driver.report.read("generation")) == before + 2 * _ROUNDS


@pytest.mark.parametrize("tsm", IMPLEMENTATIONS)
def test_a_signal_interrupts_a_read(start_driver: StartDriver, tsm: str) -> None:
    driver = start_driver(tsm)
    with driver.provider.hold() as gate:
        read = driver.start_read(1)
        gate.wait_for_request()
        read.wait_until_blocked("report_new")
        pid = read.actor.state().pid
        assert _run(driver.guest.actors[2], Op.signal(1, signal.SIGUSR1))[0].ret == 0
        assert read.error() == errno.EINTR
        driver.provider.wait_cancelled(1)
    assert driver.guest.actors[1].state().pid == pid
    driver.assert_works()


def test_a_killed_actor_loses_no_reply_of_another(start_driver: StartDriver) -> None:
    """A killed actor may be the one that the release of the port's lock has woken."""
    actors = start_driver("class-fixed").guest.actors[:6]
    for actor in actors[4:]:
        actor.spawn()
    for number in range(_KILLS):
        calls = [actor.start_read_file("/proc/version") for actor in actors]
        victim = number % len(actors)
        for call in calls[: number % 5]:
            call.done()
        actors[victim].kill()
        actors[victim].wait_until_dead()
        actors[victim].spawn()
        for other, call in enumerate(calls):
            if other != victim:
                assert call.result()
