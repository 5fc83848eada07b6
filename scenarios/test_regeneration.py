# SPDX-License-Identifier: MIT
"""Replacing the cached report by a new one: R1, J1."""

from __future__ import annotations

import errno
from collections.abc import Callable

from harness.claims import claim
from harness.guest.actor import Actor
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from harness.oracle.kernel_log import KernelLog
from providers_sim import ProviderLoop


@claim("R1")
def test_failed_regeneration_frees_the_old_report_once(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()  # a report is cached
    report.write_inblob(nonce())
    provider.fail_next(errno.EIO)
    with raises_errno(errno.EIO):
        report.read_outblob()  # the cached report is freed here ...
    report.read_outblob()  # ... and must not be freed again
    kernel_log.assert_clean()


@claim("J1")
def test_concurrent_readers_share_one_report(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    kernel_log: KernelLog,
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    report.write_inblob(nonce())
    with provider.hold() as gate:
        first = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        second = actors[2].start_read(report.outblob)
        # It waits for the lock, or for a request of its own, with the old report freed twice.
        second.wait_until_blocked()
        kernel_log.assert_clean()
        demand(
            gate.arrived == 1,
            f"{gate.arrived} readers were in the provider at once, each making a new report",
        )
    demand(first.result() == second.result(), "two readers of one generation got different reports")
