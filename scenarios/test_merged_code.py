# SPDX-License-Identifier: MIT
"""Defects of the merged code: F1, F2, F4, F6, F7, F8, F10."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

import pytest

from harness.claims import claim
from harness.guest.actor import Actor
from harness.guest.call import Call
from harness.interface.descriptor import Descriptor
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from harness.oracle.kernel_log import KernelLog
from providers_sim import Fault, ProviderLoop
from providers_sim.gate import Gate
from scenarios.common import (
    demand_returns,
    latest_request,
    respawn_unprivileged,
    unregister,
    wait_until_leaving,
    wait_until_requested,
    wait_until_settled,
)

_SURPLUS = 4096  # bytes


@claim("F1", only="configfs", needs="auxblob", filled="auxblob")
def test_a_missing_blob_reads_as_empty(
    report: Report, provider: ProviderLoop, kernel_log: KernelLog, nonce: Callable[[], bytes]
) -> None:
    provider.fault("vmalloc")
    report.write_inblob(nonce())
    if not report.read("auxblob"):
        pytest.skip("the first report has no auxblob, although the provider issued one")
    # Like sev-guest if the host has no certificates: it leaves the old length. Two reports, because
    # an implementation without a cache makes one for each read.
    provider.fault("keep_lengths", times=2)
    report.write_inblob(nonce())
    report.read_outblob()
    with Descriptor(report.actor, report.auxblob.path) as opened:
        blob = opened.read(_SURPLUS)
    demand(blob == b"", f"the report has no auxblob, but {len(blob)} bytes were read")
    kernel_log.assert_clean()


@claim("F2", only="configfs", broken_by=("unchecked-size",))
@pytest.mark.parametrize("second", ["shorter", "longer"])
def test_a_report_is_neither_cut_nor_padded(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
    second: str,
) -> None:
    for longer in (second == "shorter", second == "longer"):
        provider.fault(Fault(padded=_SURPLUS * longer))
    with provider.hold() as gate:
        reading = report.start_attest(_preempted_reader(actors), nonce())
        writing = _start_to_replace(report, gate, reading, actors[5], nonce())
    writing.results()
    if reading.error():
        return  # an error tells the reader to read again
    blob = reading.result()
    issued = [each.evidence.outblob for each in provider.issued]
    sizes = " and ".join(str(len(outblob)) for outblob in issued)
    demand(
        blob in issued,
        f"the {len(blob)} bytes read are not a report; the issued reports have {sizes} bytes",
    )


@claim(
    "F2",
    only="configfs",
    needs="auxblob",
    filled="auxblob",
    broken_by=("unchecked-size", "unchecked-aux"),
)
def test_an_auxblob_is_not_padded(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    provider.fault(Fault()).add(Fault(no_auxblob=True))
    report.write_inblob(nonce())
    with provider.hold() as gate:
        reading = _preempted_reader(actors).start_read_file(report.auxblob.path)
        writing = _start_to_replace(report, gate, reading, actors[5], nonce())
    writing.results()
    if reading.error():
        return  # an error tells the reader to read again
    blob = reading.result()
    issued = [each.evidence.auxblob for each in provider.issued]
    demand(
        blob in issued, f"the {len(blob)} bytes read are not an auxblob that the provider issued"
    )


def _preempted_reader(actors: tuple[Actor, ...]) -> Actor:
    """Return a reader, actor 4, that a waiting writer, actor 5, preempts."""
    reader, writer = actors[4], actors[5]
    reader.spawn(cpu=0)
    # A real-time waiter runs as soon as the lock is free. It preempts the reader between the size
    # query and the copy, where the reader allocates the buffer.
    writer.spawn(cpu=0, priority=1)
    return reader


def _start_to_replace(
    report: Report, gate: Gate, reading: Call[bytes], writer: Actor, nonce: bytes
) -> Call[bytes]:
    """Let ``writer`` wait, behind the report that is held, to make the next one."""
    wait_until_requested(gate, reading)
    writing = report.start_attest(writer, nonce)
    wait_until_settled(writing)
    return writing


@claim("F4", only="configfs", counters=True)
def test_a_nonce_is_stored_or_rejected(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    provider.fault("wrapped")
    try:
        report.write_inblob(nonce())
        report.actor.read_file(report.outblob.path)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("the counters are not directly behind struct tsm_report")
    latest = nonce()
    try:
        report.write_inblob(latest)
    except OSError:
        return  # rejected with an error
    report.actor.read_file(report.outblob.path)
    over = latest_request(provider).inblob
    demand(
        over == latest, "the write of the nonce succeeded, but the next report is over another one"
    )


@claim("F6")
def test_no_report_is_served_without_a_provider(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    report.write_inblob(nonce())
    report.read_outblob()
    unregister(report.actor, provider)
    with raises_errno():
        report.actor.read_file(report.outblob.path)


@claim("F7", only="configfs")
def test_a_slow_report_does_not_block_mkdir(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    directory = report.outblob.path.rpartition("/")[0]
    with provider.hold() as gate:
        slow = report.start_attest(actors[1], nonce())
        wait_until_requested(gate, slow)
        demand_returns(actors[2].start_mkdir(f"{directory}-another"), "creating an entry")
    slow.result()


@claim("F8", only="configfs")
def test_an_unprivileged_user_cannot_make_a_report(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    report.write_inblob(nonce())
    respawn_unprivileged(actors[3])
    requests = provider.requests
    with suppress(OSError):
        actors[3].read_file(report.outblob.path)
    made = provider.requests - requests
    demand(made == 0, "the provider made a report for an unprivileged user")


@claim("F10", only="configfs", excluded_by="PREEMPT_NONE")
def test_an_entry_made_during_unregistering_has_its_attributes(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    made = f"{report.outblob.path.rpartition('/')[0]}-another"
    reader, maker = actors[1], actors[4]
    maker.spawn(cpu=0, priority=-1)
    with provider.hold() as gate:
        reading = report.start_attest(reader, nonce())
        wait_until_requested(gate, reading)
        making = maker.start_mkdir(made)
        wait_until_settled(making)
        provider.going_away(keep_requests=True)
        leaving = wait_until_leaving(actors[0], provider)
        # The provider waits for the lock behind the maker. With the higher priority it runs first
        # once it gets the lock, and has unregistered before the entry gets its attributes.
        actors[0].set_fifo_priority(leaving.pid)
    with suppress(OSError):
        reading.result()
    if making.error():
        return
    names = actors[0].list(made)
    demand(bool(names), "mkdir succeeded, but the entry has no attributes")
