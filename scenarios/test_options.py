# SPDX-License-Identifier: MIT
"""What reaches the provider: T3, K3, T4."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.claims import claim
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.guest.raw_provider import RawProvider
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from providers_sim import ProviderLoop
from scenarios.common import next_request

_INBLOB_MAX = 64
_MAX_ERRNO = 4095


@claim("T3")
def test_a_shorter_nonce_leaves_no_stale_tail(
    report: Report, provider: ProviderLoop, actors: tuple[Actor, ...]
) -> None:
    report.write_inblob(b"\xcc" * _INBLOB_MAX)
    request = next_request(report, provider, actors[1], b"\x11" * 32)
    demand(request.inblob == b"\x11" * 32, f"the provider got {request.inblob.hex()}")
    tail = (request.inblob_array or b"")[32:]
    demand(not any(tail), f"behind a nonce of 32 bytes, the provider's buffer has {tail.hex()}")


@claim("K3", needs="privlevel")
@pytest.mark.parametrize("level", [4, 2**32 - 1])
def test_a_privilege_level_out_of_range_is_rejected(report: Report, level: int) -> None:
    with raises_errno():
        report.write("privlevel", level)


@claim("T4")
def test_a_second_provider_is_rejected(
    report: Report, guest: Guest, nonce: Callable[[], bytes]
) -> None:
    with RawProvider(guest.actors[3]) as second:
        got = second.register("second")
        demand(got != 0, "registering a second provider succeeds")
        demand(got <= _MAX_ERRNO, f"registering a second provider gives {-got}, which is no errno")
    report.write_inblob(nonce())
    report.read_outblob()  # the first provider is not disturbed
