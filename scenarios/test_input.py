# SPDX-License-Identifier: MIT
"""Writing the nonce and the options: K1, K2, F3, F11."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from harness.claims import claim
from harness.errors import InterfaceCallError
from harness.guest.actor import Actor
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from providers_sim import ProviderLoop
from scenarios.common import demand_unreadable, latest_request, next_request

_EVERY_KIND = bytes(range(16)) + b"\n\0\n\0" + bytes(range(212, 256))


@claim("K1")
def test_the_nonce_is_any_64_bytes(
    report: Report, provider: ProviderLoop, actors: tuple[Actor, ...]
) -> None:
    name = report.inblob.path.rpartition("/")[2]
    demand(name == "inblob", f"the nonce is written as text, to {name}")
    inblob = next_request(report, provider, actors[1], _EVERY_KIND).inblob
    demand(inblob == _EVERY_KIND, f"the provider got {inblob.hex()}")


@claim("K2")
def test_the_nonce_cannot_be_read_back(report: Report, nonce: Callable[[], bytes]) -> None:
    own = nonce()
    report.write_inblob(own)
    demand_unreadable(report, report.actor, own)


@claim("F3")
def test_a_rejected_nonce_leaves_the_previous_one(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    own = nonce()
    report.write_inblob(own)
    before = report.read_generation()
    with raises_errno():
        report.write("inblob", bytes(65))
    moved = report.read_generation() - before
    demand(moved == 0, f"a rejected write increments the generation by {moved}")
    try:
        report.actor.read_file(report.outblob.path)
    except OSError as error:
        demand(False, f"the previous nonce is lost: reading the report gives {error.strerror}")
    demand(latest_request(provider).inblob == own, "the previous nonce is lost")


@claim("F11", only="configfs", needs="service_guid")
def test_a_rejected_service_guid_leaves_the_stored_one(
    report: Report, provider: ProviderLoop, actors: tuple[Actor, ...], nonce: Callable[[], bytes]
) -> None:
    own = uuid.uuid4()
    report.write("service_guid", str(own))
    before = report.read_generation()
    with pytest.raises(InterfaceCallError):
        report.write("service_guid", str(own)[:-1])
    moved = report.read_generation() - before
    demand(moved == 0, f"a rejected write increments the generation by {moved}")
    stored = next_request(report, provider, actors[1], nonce()).service_guid
    demand(stored == own.bytes_le, "the stored GUID is lost")
