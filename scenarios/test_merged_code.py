# SPDX-License-Identifier: MIT
"""Defects of the merged code: F1, F2, F4, F6, F7, F8, F10."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress

import pytest

from harness.claims import claim
from harness.errors import ClaimViolatedError, DeadlineError
from harness.guest.actor import Actor, read_ops
from harness.guest.call import checked
from harness.guest.stacks import PROVIDER_LEAVES, wait_for_blocked
from harness.interface.descriptor import Descriptor
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from harness.oracle.kernel_log import KernelLog
from providers_sim import Fault, ProviderLoop
from tsmw.ops import Op

_NOBODY = 65534
_STUCK_SECONDS = 2.0
_SURPLUS = 4096  # bytes


@claim("F1", only="configfs", needs="auxblob", filled="auxblob")
def test_a_blob_that_is_gone_is_empty(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    provider.fault("vmalloc")
    report.write_inblob(nonce())
    if not report.read("auxblob"):
        pytest.skip("the first report has no auxblob, although the provider issued one")
    report.write_inblob(nonce())
    # As sev-guest leaves it when the host has no certificates. Twice, for a core without a cache.
    provider.fault("keep_lengths", times=2)
    report.read_outblob()
    with Descriptor(report.actor, report.auxblob.path) as opened:
        blob = opened.read(_SURPLUS)
    demand(blob == b"", f"the report has no auxblob, and {len(blob)} bytes of it were read")
    kernel_log.assert_clean()


@claim("F2", only="configfs")
@pytest.mark.parametrize("next_one", ["shorter", "longer"])
def test_a_report_is_neither_cut_nor_padded(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
    next_one: str,
) -> None:
    reader, writer = actors[4], actors[5]
    reader.spawn(cpu=0)
    # A waiter of this kind runs as soon as the lock is free: after the reader has asked for the
    # size, and before it asks for the bytes, since it may be interrupted where it allocates.
    writer.spawn(cpu=0, priority=1)
    report.write_inblob(nonce())
    for longer in (next_one == "shorter", next_one == "longer"):
        provider.fault(Fault(padded=_SURPLUS * longer))
    inblob = [Op.open(report.inblob.path, os.O_WRONLY), Op.write(nonce()), Op.close()]
    with provider.hold() as gate:
        reading = reader.start_read_file(report.outblob.path)
        gate.wait_for_request()
        writing = writer.start(
            [*inblob, *read_ops(report.outblob.path)],
            lambda results: len(checked(results, "write and read")),
            f"write to {report.inblob.path}, then read",
        )
        with suppress(ClaimViolatedError):  # a core with another lock has another window, or none
            writing.wait_until_blocked()
    writing.results()
    if reading.error():
        return  # told to read again, for instance
    blob = reading.result()
    sizes = [len(one.evidence.outblob) for one in provider.issued]
    demand(
        blob in [one.evidence.outblob for one in provider.issued],
        f"{len(blob)} bytes were read, which are no report: those issued have "
        f"{' and '.join(map(str, sizes))} bytes",
    )


@claim("F4", only="configfs", counters=True)
def test_a_nonce_is_stored_or_refused(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    report.write_inblob(nonce())
    provider.fault("wrapped")
    try:
        report.actor.read_file(report.outblob.path)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("the counters are not directly behind struct tsm_report")
    latest = nonce()
    try:
        report.write_inblob(latest)
    except OSError:
        return  # refused, and its writer knows
    report.actor.read_file(report.outblob.path)
    over = provider.issued[-1].request.inblob
    demand(
        over == latest, "a nonce was written without an error, and the next report is over another"
    )


@claim("F6")
def test_no_report_is_served_without_a_provider(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    provider.going_away()
    provider.wait_registered()
    # The last of them is what kernels before 6.16 say.
    with raises_errno(errno.ENXIO, errno.ENODEV, errno.ENOENT, errno.ENOTTY):
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
        slow = actors[1].start_read(report.outblob)
        gate.wait_for_request()
        making = actors[2].start_mkdir(f"{directory}-another")
        try:
            making.result(seconds=_STUCK_SECONDS)
        except DeadlineError:
            demand(False, f"who makes an entry waits, {actors[2].describe_state()}")
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


@claim("F10", only="configfs", excluded_by="PREEMPT_NONE")
def test_an_entry_has_its_attributes(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    made = f"{report.outblob.path.rpartition('/')[0]}-another"
    reader, maker = actors[1], actors[4]
    maker.spawn(cpu=0, priority=-1)
    with provider.hold() as gate:
        reading = reader.start_read(report.outblob)
        gate.wait_for_request()
        making = maker.start_mkdir(made)
        with suppress(ClaimViolatedError):  # where it need not wait it is made before
            making.wait_until_blocked()
        provider.going_away(keep_requests=True)
        leaving = wait_for_blocked(actors[0], PROVIDER_LEAVES)
        # It waits for the lock behind the maker, and goes first as soon as it is woken: it has
        # left when the entry gets its attributes.
        actors[0].set_fifo_priority(leaving.pid)
    with suppress(OSError):
        reading.result()
    if making.error():
        return
    names = actors[0].list(made)
    demand(bool(names), "the entry was made without an error, and has no attributes")
