# SPDX-License-Identifier: MIT
"""For whom and when a report was made: S2, T1b, J2, G1."""

from __future__ import annotations

from collections.abc import Callable

from harness.claims import claim
from harness.guest.actor import Actor
from harness.interface.find import Interface
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop
from scenarios.common import latest_request, nonce_of

_ROUNDS = 12
_CALLERS = 6
_SPAWNED = 4  # actors that a guest starts with
_EXTENDED = 1


@claim("S2")
def test_the_same_nonce_again_gives_a_fresh_report(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    own = nonce()
    report.write_inblob(own)
    first = report.read_outblob()
    requests = provider.requests
    measured = len(provider.registers())
    if measured:
        provider.extend(0, bytes(48))
    report.write_inblob(own)
    second = report.read_outblob()
    demand(provider.requests > requests, "the second read returns the first report from the cache")
    demand(not measured or first != second, "the report does not show the changed measurement")


@claim("G1")
def test_a_single_writer_sees_no_conflict(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    for _ in range(_ROUNDS):
        own, before = nonce(), report.read_generation()
        report.write_inblob(own)
        blob = report.read_outblob()
        after = report.read_generation()
        demand(
            after == before + 1, f"a write increments the generation by {after - before}, not by 1"
        )
        demand(nonce_of(blob, provider) == own, "the report is over another nonce")


@claim("T1b", only="class", needs="format")
def test_an_extended_request_never_silently_gets_the_default_format(
    interface: Interface,
    actors: tuple[Actor, ...],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = (interface.report(actors[n].named(name)) for n, name in ((1, "Alice"), (2, "Bob")))
    alice.write_inblob(nonce())
    alice.write("format", "extended")  # of an earlier attestation
    bob.write("format", "extended")
    before = alice.read_generation()
    alice.write("format", "extended")
    bob.write("format", "default")
    alice.read_outblob()
    requested = latest_request(provider).format
    flagged = alice.read_generation() != before + 1
    demand(
        requested == _EXTENDED or flagged,
        "Alice requested the extended format and got the default one; the generation is one "
        "higher, as if nobody else had written",
    )


@claim("J2")
def test_callers_have_reports_of_their_own(
    interface: Interface,
    actors: tuple[Actor, ...],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    for actor in actors[_SPAWNED : _CALLERS + 1]:
        actor.spawn()
    callers = [interface.report(actors[n + 1]) for n in range(_CALLERS)]
    nonces = [nonce() for _ in callers]
    for caller, own in zip(callers, nonces, strict=True):
        caller.write_inblob(own)
    reading = [caller.actor.start_read(caller.outblob) for caller in callers]
    refused = [call.error() for call in reading]
    blobs = [
        caller.read_outblob() if error else call.result()  # now nobody else reads
        for caller, call, error in zip(callers, reading, refused, strict=True)
    ]
    reported = [nonce_of(blob, provider) for blob in blobs]
    correct = sum(got == own for got, own in zip(reported, nonces, strict=True))
    demand(
        correct == _CALLERS,
        f"{correct} of {_CALLERS} callers got a report over the nonce that they wrote",
    )
