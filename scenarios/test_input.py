# SPDX-License-Identifier: MIT
"""How the nonce goes in, and who may look at it: K1, K2, F3."""

from __future__ import annotations

import errno
from collections.abc import Callable

from harness.claims import claim
from harness.guest.actor import Actor
from harness.interface.descriptor import Descriptor
from harness.interface.report import Report
from harness.oracle.expect import demand, raises_errno
from providers_sim import ProviderLoop

_EVERY_KIND = bytes(range(16)) + b"\n\0\n\0" + bytes(range(212, 256))


@claim("K1")
def test_the_nonce_is_any_64_bytes(
    report: Report, provider: ProviderLoop, actors: tuple[Actor, ...]
) -> None:
    name = report.inblob.path.rpartition("/")[2]
    demand(name == "inblob", f"the nonce goes in as text, through {name}")
    report.write_inblob(_EVERY_KIND)
    with provider.hold() as gate:
        reading = actors[1].start_read(report.outblob)
        asked = gate.wait_for_request()[0].inblob
    reading.result()
    demand(asked == _EVERY_KIND, f"the provider was given {asked.hex()}")


@claim("K2")
def test_the_nonce_cannot_be_read_back(report: Report, nonce: Callable[[], bytes]) -> None:
    report.write_inblob(nonce())
    with raises_errno(errno.EACCES):
        Descriptor(report.actor, report.inblob.path)


@claim("F3")
def test_a_nonce_that_is_refused_leaves_the_last_one(
    report: Report, provider: ProviderLoop, nonce: Callable[[], bytes]
) -> None:
    own = nonce()
    report.write_inblob(own)
    before = report.read_generation()
    with raises_errno(errno.EFBIG, errno.EINVAL):
        report.write("inblob", bytes(65))
    moved = report.read_generation() - before
    demand(moved == 0, f"a write that was refused moved the generation by {moved}")
    report.actor.read_file(report.outblob.path)
    demand(provider.issued[-1].request.inblob == own, "the nonce before it is lost")
