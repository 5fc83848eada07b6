# SPDX-License-Identifier: MIT
"""Steps that several scenarios share."""

from __future__ import annotations

from typing import Any

from harness.errors import DeadlineError
from harness.guest.actor import Actor
from harness.guest.call import Call
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop
from tsmw.report import ReportRequest

__all__ = ["demand_not_blocked", "next_request", "nonce_of", "respawn_unprivileged"]

_NOBODY = 65534
_BLOCKED_SECONDS = 2.0


def respawn_unprivileged(actor: Actor) -> None:
    """Replace the actor's process by one of the user nobody."""
    actor.kill()
    actor.wait_until_dead()
    actor.spawn(uid=_NOBODY, gid=_NOBODY)


def nonce_of(outblob: bytes, provider: ProviderLoop) -> bytes | None:
    """Return the nonce for which the provider made this report; None if it did not make it."""
    made = (issued for issued in provider.issued if issued.evidence.outblob == outblob)
    return next((issued.request.inblob for issued in made), None)


def next_request(report: Report, provider: ProviderLoop, reader: Actor) -> ReportRequest:
    """Let ``reader`` read the report; return the request that reaches the provider.

    The provider may refuse the request, for instance because its nonce is too short.
    """
    with provider.hold() as gate:
        reading = reader.start_read(report.outblob)
        request: ReportRequest = gate.wait_for_request()[0]
    reading.results()
    return request


def demand_not_blocked(call: Call[Any], what: str) -> None:
    """Demand that ``call`` returns soon; ``what`` names it in the message."""
    try:
        call.result(seconds=_BLOCKED_SECONDS)
    except DeadlineError:
        demand(False, f"{what} is blocked, {call.actor.describe_state()}")
