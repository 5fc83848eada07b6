# SPDX-License-Identifier: MIT
"""The generation counter, and what callers can conclude from it: T1, S1, S3."""

from __future__ import annotations

from collections.abc import Callable

from harness.claims import claim
from harness.guest.actor import Actor
from harness.interface.attribute import Value
from harness.interface.find import Interface
from harness.interface.names import AttributeName
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop
from scenarios.common import nonce_of


def _rewrite(report: Report, option: AttributeName, value: Value) -> None:
    report.write(option, value)
    before = report.read_generation()
    report.write(option, value)
    moved = report.read_generation() - before
    demand(moved == 1, f"rewriting {option} increments the generation by {moved}, not by 1")


@claim("T1")
def test_rewriting_the_nonce_increments_the_generation(
    report: Report, nonce: Callable[[], bytes]
) -> None:
    _rewrite(report, "inblob", nonce())


@claim("T1", needs="privlevel")
def test_rewriting_the_privilege_level_increments_the_generation(report: Report) -> None:
    _rewrite(report, "privlevel", 3)


@claim("T1", only="class", needs="format")
def test_rewriting_the_format_increments_the_generation(report: Report) -> None:
    _rewrite(report, "format", "extended")


@claim("S1")
def test_a_report_over_another_nonce_is_flagged(
    interface: Interface,
    actors: tuple[Actor, ...],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = (interface.report(actors[n].named(name)) for n, name in ((1, "Alice"), (2, "Bob")))
    own = nonce()
    alice.write_inblob(own)  # of an earlier attestation: the nonce is already set
    before = alice.read_generation()
    alice.write_inblob(own)
    bob.write_inblob(nonce())
    reported = nonce_of(alice.read_outblob(), provider)
    flagged = alice.read_generation() != before + 1
    demand(
        reported == own or flagged,
        "Alice wrote once and read a report over Bob's nonce; the generation is one higher, as if "
        "nobody else had written",
    )


@claim("S3")
def test_a_valid_report_is_not_flagged(
    interface: Interface,
    actors: tuple[Actor, ...],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = (interface.report(actors[n].named(name)) for n, name in ((1, "Alice"), (2, "Bob")))
    alice.write_inblob(nonce())  # G1 decides whether the first write is counted
    alice.read_outblob()
    own = nonce()
    before = alice.read_generation()
    alice.write_inblob(own)
    reported = nonce_of(alice.read_outblob(), provider)
    bob.write_inblob(nonce())
    flagged = alice.read_generation() != before + 1
    demand(reported == own, "Alice's report is over another nonce than she wrote")
    demand(not flagged, "Alice's report is valid, but Bob's later write makes the check flag it")
