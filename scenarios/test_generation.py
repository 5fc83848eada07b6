# SPDX-License-Identifier: MIT
"""The write counter, and what callers can conclude from it: T1, S1, S3."""

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


def _rewrite(report: Report, option: AttributeName, value: Value) -> None:
    report.write(option, value)
    before = report.read_generation()
    report.write(option, value)
    moved = report.read_generation() - before
    demand(moved == 1, f"writing {option} the value it had moved the generation by {moved}, not 1")


@claim("T1")
def test_rewriting_the_nonce_counts(report: Report, nonce: Callable[[], bytes]) -> None:
    _rewrite(report, "inblob", nonce())


@claim("T1", needs="privlevel")
def test_rewriting_the_privilege_level_counts(report: Report) -> None:
    _rewrite(report, "privlevel", 3)


@claim("T1", only="class", needs="format")
def test_rewriting_the_format_counts(report: Report) -> None:
    _rewrite(report, "format", "extended")


@claim("S1")
def test_nobody_takes_anothers_report_for_his_own(
    interface: Interface,
    actors: tuple[Actor, ...],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = interface.report(actors[1]), interface.report(actors[2])
    own = nonce()
    alice.write_inblob(own)  # from an attestation before: the nonce is already there
    before = alice.read_generation()
    alice.write_inblob(own)
    bob.write_inblob(nonce())
    reported = _nonce_in(alice.read_outblob(), provider)
    flagged = alice.read_generation() != before + 1
    demand(
        reported == own or flagged,
        "after one write of her own, Alice read a report over Bob's nonce, and the generation "
        "had moved by one, as if nobody else had written",
    )


@claim("S3")
def test_a_good_report_is_not_flagged(
    interface: Interface,
    actors: tuple[Actor, ...],
    provider: ProviderLoop,
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = interface.report(actors[1]), interface.report(actors[2])
    own = nonce()
    before = alice.read_generation()
    alice.write_inblob(own)
    reported = _nonce_in(alice.read_outblob(), provider)
    bob.write_inblob(nonce())
    flagged = alice.read_generation() != before + 1
    demand(reported == own, "Alice's report is not over the nonce she wrote")
    demand(
        not flagged, "Alice's report is good, and the generation says it is not: Bob wrote later"
    )


def _nonce_in(outblob: bytes, provider: ProviderLoop) -> bytes | None:
    """The nonce the provider made this report for; None when it is none of the provider's."""
    made = (issued for issued in provider.issued if issued.evidence.outblob == outblob)
    return next((issued.request.inblob for issued in made), None)
