# SPDX-License-Identifier: MIT
"""Steps that several scenarios share.

No scenario demands that a call waits: an implementation may refuse a call that comes while a
report is being made. Nor does one demand when the provider is asked: an implementation may make the
report when the nonce is written.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

from harness.errors import ClaimViolatedError, DeadlineError
from harness.guest.actor import Actor
from harness.guest.call import Call
from harness.guest.stacks import PROVIDER_LEAVES, BlockedTask, find_blocked
from harness.interface.report import Report
from harness.oracle.expect import demand
from providers_sim import ProviderLoop, ProviderTimeout
from providers_sim.gate import Gate
from tsmw.report import ReportRequest

__all__ = [
    "demand_returns",
    "demand_unreadable",
    "latest_request",
    "next_request",
    "nonce_of",
    "registration_of",
    "respawn_unprivileged",
    "unregister",
    "wait_until_leaving",
    "wait_until_requested",
    "wait_until_settled",
    "wait_until_unregistered",
]

_NOBODY = 65534
_BLOCKED_SECONDS = 2.0
_ASLEEP_SECONDS = 1.1  # longer than a bounded wait of one second, which is allowed
_LOOK_SECONDS = 0.1
_REQUEST_SECONDS = 20.0
_REGISTER_SECONDS = 20.0
_UNREGISTER_SECONDS = 10.0


def respawn_unprivileged(actor: Actor) -> None:
    """Replace the actor's process by one of the user nobody."""
    actor.kill()
    actor.wait_until_dead()
    actor.spawn(uid=_NOBODY, gid=_NOBODY)


def demand_unreadable(report: Report, actor: Actor, nonce: bytes) -> None:
    """Demand that ``actor`` cannot read ``nonce`` from any file that takes a nonce."""
    directory = report.inblob.path.rpartition("/")[0]
    for name in ("inblob", "inhex"):
        try:
            data = actor.read_file(f"{directory}/{name}")
        except OSError:
            continue
        kept = nonce in data or nonce.hex().encode() in data.lower()
        demand(not kept, f"{actor!r} reads the nonce from {name}")


def nonce_of(outblob: bytes, provider: ProviderLoop) -> bytes | None:
    """Return the nonce for which the provider made this report; None if it did not make it."""
    made = (issued for issued in provider.issued if issued.evidence.outblob == outblob)
    return next((issued.request.inblob for issued in made), None)


def next_request(
    report: Report, provider: ProviderLoop, actor: Actor, nonce: bytes
) -> ReportRequest:
    """Let ``actor`` attest with ``nonce``; return the request that reaches the provider.

    The provider may refuse the request, for instance because its nonce is too short.
    """
    with provider.hold() as gate:
        attesting = report.start_attest(actor, nonce)
        request = wait_until_requested(gate, attesting)
    attesting.results()
    return request


def latest_request(provider: ProviderLoop) -> ReportRequest:
    """Return the request of the latest report; demand that the provider made one."""
    demand(bool(provider.issued), "a report was read, and the provider was not asked for one")
    return provider.issued[-1].request


def registration_of(provider: ProviderLoop, actor: Actor) -> int:
    """Return the errno of the registration, or 0; demand that registering returns."""
    try:
        return provider.wait_registered(actor.session.timeouts.scaled(_REGISTER_SECONDS))
    except ProviderTimeout:
        demand(False, "registering a provider does not return")
        raise


def wait_until_requested(gate: Gate, call: Call[Any]) -> ReportRequest:
    """Wait until the gate holds a request of ``call``; demand that it does not return without."""
    deadline = call.actor.session.timeouts.deadline(_REQUEST_SECONDS, f"the request of {call!r}")
    while True:
        returned = call.done()
        with suppress(ProviderTimeout):
            return gate.wait_for_request(timeout=_LOOK_SECONDS)[0]
        if returned:
            call.result()
            demand(False, "a report was read for a new nonce, and the provider got no request")
        deadline.remaining()


def wait_until_settled(call: Call[Any]) -> None:
    """Wait until ``call`` sleeps in the kernel, or has returned; it may also go on to poll."""
    with suppress(ClaimViolatedError, DeadlineError):
        call.wait_until_blocked(seconds=_BLOCKED_SECONDS)


def demand_returns(call: Call[Any], what: str) -> None:
    """Demand that ``call`` returns soon, with an error or without; ``what`` names it."""
    try:
        call.results_unless_stuck(seconds=_BLOCKED_SECONDS, asleep_seconds=_ASLEEP_SECONDS)
    except DeadlineError:
        demand(not call.blocked(), f"{what} is blocked, {call.actor.describe_state()}")
        call.results()  # the guest is slow


def wait_until_leaving(actor: Actor, provider: ProviderLoop) -> BlockedTask:
    """Wait until the unregistering of a provider waits for a report; ``actor`` looks for it.

    Demands that it does not return, because the provider's code is in use.
    """
    deadline = actor.session.timeouts.deadline(_REQUEST_SECONDS, "a wait of the unregistering")
    while True:
        task = find_blocked(actor, PROVIDER_LEAVES)
        if task is not None:
            return task
        with suppress(ProviderTimeout):
            provider.wait_registered(0)
            demand(False, "the provider is unregistered while it makes a report")
        deadline.remaining()


def unregister(actor: Actor, provider: ProviderLoop) -> None:
    """Let the provider leave, and wait until it is unregistered."""
    provider.going_away()
    wait_until_unregistered(actor, provider)


def wait_until_unregistered(actor: Actor, provider: ProviderLoop) -> None:
    """Demand that the unregistering of a provider that leaves returns; ``actor`` is any of them.

    The kernel reports only tasks that sleep uninterruptibly as hung, and a worker may sleep idle.
    """
    try:
        got = provider.wait_registered(actor.session.timeouts.scaled(_UNREGISTER_SECONDS))
    except ProviderTimeout:
        demand(False, "the unregistering of the provider does not return")
    else:
        demand(got == errno.ENXIO, "the provider is still registered")
