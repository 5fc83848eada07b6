# SPDX-License-Identifier: MIT
"""The protocols that users of the interface follow: U1 to U3."""

from __future__ import annotations

from collections.abc import Callable

from harness.claims import claim
from harness.guest.actor import Actor
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop
from scenarios.common import nonce_of

_STEPS = ("generation", "write", "read", "generation")
_TRIES = 5


class Client:
    """A caller that attests as documented: read generation, write nonce, read report, compare.

    After an attestation, ``own`` is the nonce it wrote, ``over`` the nonce of the report it read
    (None if the provider did not make the report), and ``flagged`` whether the generation shows
    another write than its own.
    """

    def __init__(self, report: Report, provider: ProviderLoop) -> None:
        self._report = report
        self._provider = provider
        self.own = b""
        self.over: bytes | None = None
        self.flagged = False
        self._before = 0

    def attest(self, own: bytes, disturb: Callable[[int], None] = lambda _: None) -> None:
        """Attest once with the nonce ``own``; call ``disturb`` before each step and at the end."""
        self.own = own
        for number, step in enumerate(_STEPS):
            disturb(number)
            if step == "write":
                self._report.write_inblob(own)
            elif step == "read":
                self.over = nonce_of(self._report.read_outblob(), self._provider)
            elif number == 0:
                self._before = self._report.read_generation()
            else:
                self.flagged = self._report.read_generation() != self._before + 1
        disturb(len(_STEPS))


@claim("U1")
def test_the_protocol_distinguishes_a_report_from_a_conflict(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = Client(report, provider), report.shared_with(actors[2])
    alice.attest(nonce())
    demand(alice.over == alice.own, "without a conflict, the report is over another nonce")
    demand(not alice.flagged, "without a conflict, a valid report is flagged")

    def disturb(step: int) -> None:
        if step == 2:
            bob.write_inblob(nonce())

    alice.attest(nonce(), disturb)
    demand(
        alice.flagged, "another caller wrote before the read, and the generation does not show it"
    )


@claim("U2")
def test_every_conflict_is_detected(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = Client(report, provider), report.shared_with(actors[2])
    for place in range(len(_STEPS) + 1):

        def disturb(step: int, place: int = place) -> None:
            if step == place:
                bob.write_inblob(nonce())

        alice.attest(nonce(), disturb)
        demand(
            alice.flagged or alice.over == alice.own,
            f"after a write before step {place + 1}, a report over another nonce is not flagged",
        )


@claim("U3")
def test_a_retry_gets_the_callers_own_report(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = Client(report, provider), report.shared_with(actors[2])
    disturbances = iter((1, 2, 3))
    for _ in range(_TRIES):
        place = next(disturbances, -1)

        def disturb(step: int, place: int = place) -> None:
            if step == place:
                bob.write_inblob(nonce())

        alice.attest(nonce(), disturb)
        if not alice.flagged:
            break
    demand(not alice.flagged, f"all of {_TRIES} attempts are flagged")
    demand(alice.over == alice.own, "an attempt that is not flagged is over another nonce")
