# SPDX-License-Identifier: MIT
"""Defects of the merged code: F1, F6, F7, F8."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from harness.claims import claim
from harness.errors import DeadlineError
from harness.guest.actor import Actor
from harness.oracle.expect import demand, raises_errno
from harness.oracle.kernel_log import KernelLog
from harness.surfaces.report import Report
from providers_sim.loop import ProviderLoop

_NOBODY = 65534
_STUCK_SECONDS = 2.0


@claim("F1", only="configfs", needs="auxblob")
def test_a_blob_that_is_gone_is_empty(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    provider.fault("vmalloc")
    report.write_inblob(nonce())
    if not report.read("auxblob"):
        pytest.skip("this provider's auxblob is always empty")
    report.write_inblob(nonce())
    provider.fault("keep_lengths")  # as sev-guest leaves it when the host has no certificates
    report.read_outblob()
    blob = report.actor.read_file(report.auxblob.path)
    demand(blob == b"", f"the report has no auxblob, and {len(blob)} bytes of it were read")
    kernel_log.assert_clean()


@claim("F6")
def test_no_report_is_served_without_a_provider(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    provider.going_away()
    provider.wait_registered()
    with raises_errno(errno.ENXIO, errno.ENODEV, errno.ENOENT):
        report.actor.read_file(report.outblob.path)


@claim("F7", only="configfs")
def test_a_slow_report_delays_nobody_elses_entry(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    directory = report.outblob.path.rpartition("/")[0]
    with provider.hold() as gate:
        slow = actors[1].read(report.outblob)
        gate.wait_for_request()
        making = actors[2].begin_mkdir(f"{directory}-another")
        try:
            making.result(seconds=_STUCK_SECONDS)
        except DeadlineError:
            demand(False, f"who makes an entry waits, {actors[2].whereabouts()}")
    slow.result()


@claim("F8", only="configfs")
def test_nobody_cannot_have_reports_made(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    actors[3].kill()
    actors[3].wait_until_dead()
    actors[3].spawn(uid=_NOBODY, gid=_NOBODY)
    try:
        actors[3].read_file(report.outblob.path)
    except OSError as error:
        demand(error.errno == errno.EACCES, f"it is refused with {error.strerror}")
    demand(provider.requests == 0, "the provider made a report for a caller without privileges")
