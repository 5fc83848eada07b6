# SPDX-License-Identifier: MIT
"""Forks: copies of running guests and of their providers."""

from __future__ import annotations

import errno

import pytest

from harness.errors import ScenarioError
from harness.interface.find import find_interface
from harness.oracle.expect import raises_errno
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from tests.conftest import Attach, Clone

NONCE = bytes(range(64))


@pytest.mark.parametrize("tsm", ["mainline", "class-fixed"])
def test_fork_has_the_state_of_the_original(
    session: Session, clone: Clone, attach: Attach, tsm: str
) -> None:
    original = clone(tsm)
    loop = attach(original)
    report = find_interface(original).report()
    report.write_inblob(NONCE)
    first = report.read_outblob()
    loop.fault("snp-vmm-error")
    with session.factory(DEFAULT_KERNEL).fork(original) as copy:
        assert copy.provider is not None
        assert copy.provider.session == loop.session
        # The copy has the same entry and cached report: it sends no request to its provider.
        path = report.outblob.path
        assert copy.actors[0].read_file(path) == first == report.read_outblob()
        assert copy.provider.requests == 0
        # A fault in the copy does not affect the original.
        other = bytes(reversed(NONCE))
        copy.actors[0].write_file(report.inblob.path, other)
        with raises_errno(errno.EIO):
            copy.actors[0].read_file(path)
        with raises_errno(errno.ENOTTY):
            copy.actors[0].read_file(path)
        loop.faults.clear()
        report.write_inblob(other)
        second = report.read_outblob()
        assert second != first
        assert loop.provider.live_state()["vmpck_wiped"] is False
        assert copy.provider.provider.live_state()["vmpck_wiped"] is True
        with session.factory(DEFAULT_KERNEL).fork(copy) as third:
            with raises_errno(errno.ENOTTY):
                third.actors[0].read_file(path)
            third.log.assert_clean()
        copy.log.assert_clean()
    original.log.assert_clean()


def test_forks_make_the_same_evidence(session: Session, clone: Clone, attach: Attach) -> None:
    original = clone("mainline")
    attach(original)
    report = find_interface(original).report()
    factory = session.factory(DEFAULT_KERNEL)
    with factory.fork(original) as first, factory.fork(original) as second:
        actors = [guest.actors[0] for guest in (original, first, second)]
        for actor in actors:
            actor.write_file(report.inblob.path, NONCE)
        assert len({actor.read_file(report.outblob.path) for actor in actors}) == 1
        uuids = {actor.read_file("/proc/sys/kernel/random/uuid") for actor in actors}
        assert len(uuids) == 3  # the random numbers differ


def test_fork_without_a_provider(session: Session, clone: Clone) -> None:
    original = clone("class-fixed")
    original.actors[0].write_file("/proc/sys/kernel/hostname", b"forked")
    with session.factory(DEFAULT_KERNEL).fork(original) as copy:
        assert copy.actors[0].read_file("/proc/sys/kernel/hostname") == b"forked\n"
        assert copy.provider is None
        loop = copy.attach(session.provider("sev-snp", 0))
        assert loop.wait_registered() == 0


def test_guest_with_an_open_call_cannot_be_forked(
    session: Session, clone: Clone, attach: Attach
) -> None:
    original = clone("mainline")
    loop = attach(original)
    report = find_interface(original).report()
    report.write_inblob(NONCE)
    with loop.hold() as gate:
        reading = original.actors[1].start_read(report.outblob)
        gate.wait_for_request()
        with pytest.raises(ScenarioError, match="open"):
            session.factory(DEFAULT_KERNEL).fork(original)
    assert len(reading.result()) == 1184
