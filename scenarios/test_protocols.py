# SPDX-License-Identifier: MIT
"""The protocols that clients of the interface use: U1 to U3."""

from __future__ import annotations

from collections.abc import Callable

from harness.claims import claim
from harness.guest.actor import Actor
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop

_STEPS = ("generation", "write", "read", "generation")
_TRIES = 5


class Client:
    """Attests as documented: the generation before, the nonce, the report, the generation after."""

    def __init__(self, report: Report, provider: ProviderLoop) -> None:
        self._report = report
        self._provider = provider
        self.own = b""
        self.over: bytes | None = None
        self.flagged = False
        self._before = 0

    def attest(self, own: bytes, disturb: Callable[[int], None] = lambda _: None) -> None:
        """One attestation over ``own``; ``disturb`` is called before each step and at the end."""
        self.own = own
        for number, step in enumerate(_STEPS):
            disturb(number)
            if step == "write":
                self._report.write_inblob(own)
            elif step == "read":
                blob = self._report.read_outblob()
                made = [i for i in self._provider.issued if i.evidence.outblob == blob]
                self.over = made[-1].request.inblob if made else None
            elif number == 0:
                self._before = self._report.read_generation()
            else:
                self.flagged = self._report.read_generation() != self._before + 1
        disturb(len(_STEPS))


@claim("U1")
def test_the_protocol_tells_good_from_conflict(
    report: Report,
    provider: ProviderLoop,
    actors: tuple[Actor, ...],
    nonce: Callable[[], bytes],
) -> None:
    alice, bob = Client(report, provider), report.shared_with(actors[2])
    alice.attest(nonce())
    demand(alice.over == alice.own, "undisturbed, the report is over another nonce")
    demand(not alice.flagged, "undisturbed, a good report is flagged")

    def disturb(step: int) -> None:
        if step == 2:
            bob.write_inblob(nonce())

    alice.attest(nonce(), disturb)
    demand(alice.flagged, "another caller wrote in between, and the generation does not show it")


@claim("U2")
def test_every_conflict_is_learned_of(
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
            f"disturbed before step {place + 1}, a report over another nonce passes for good",
        )


@claim("U3")
def test_trying_again_succeeds(
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
    demand(not alice.flagged, f"{_TRIES} tries, and each is flagged")
    demand(alice.over == alice.own, "a try passes for good, over another nonce")
