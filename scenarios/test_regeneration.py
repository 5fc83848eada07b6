# SPDX-License-Identifier: MIT
"""Replacing the cached report by a new one: R1, J1."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

from harness.claims import claim
from harness.guest.actor import Actor
from harness.guest.stacks import REPORT_REQUESTED, all_blocked
from harness.interface.report import Report
from harness.oracle.expect import demand
from harness.oracle.kernel_log import KernelLog
from providers_sim import ProviderLoop
from scenarios.common import nonce_of, wait_until_requested, wait_until_settled


@claim("R1")
def test_failed_regeneration_frees_the_old_report_once(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()  # a report is cached
    provider.fail_next(errno.EIO)
    with suppress(OSError):
        report.write_inblob(nonce())
    with suppress(OSError):
        report.read_outblob()  # the cached report is freed here ...
    with suppress(OSError):
        report.read_outblob()  # ... and must not be freed again
    kernel_log.assert_clean()
    own = nonce()
    report.write_inblob(own)
    demand(nonce_of(report.read_outblob(), provider) == own, "the report is over another nonce")


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
    with provider.hold() as gate:
        first = report.start_attest(actors[1], nonce())
        wait_until_requested(gate, first)
        second = actors[2].start_read(report.outblob)
        # It waits for the first one, or for a request of its own, or it was refused.
        wait_until_settled(second)
        refused = second.done()
        kernel_log.assert_clean()
        makers = len(all_blocked(actors[0], REPORT_REQUESTED))
        demand(
            makers == 1,
            f"{makers} readers were in the provider at once, each making a new report",
        )
    if not (refused or first.error() or second.error()):
        same = first.result() == second.result()
        demand(same, "two readers of one generation got different reports")
