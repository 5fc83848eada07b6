# SPDX-License-Identifier: MIT
"""Scenarios that no defect of ours breaks fail on an interface that breaks their demand.

They demand what configfs itself does with an open file. The sysfs class does not do it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from harness.errors import ClaimViolatedError
from harness.guest.guest import Guest
from harness.interface.attribute import Attribute
from harness.interface.history import History
from harness.interface.names import ATTRIBUTE_NAMES
from harness.interface.report import Report
from providers_sim import ProviderLoop
from scenarios import test_conformance
from scenarios.test_conformance import Entry
from tests.conftest import Attach, Clone

Scenario = Callable[[Entry, ProviderLoop, Callable[[], bytes]], None]

# Under their own names, pytest would collect them here.
STORED_AT_CLOSE: Scenario = test_conformance.test_a_nonce_is_stored_at_close
KEEPS_ITS_REPORT: Scenario = test_conformance.test_an_open_file_keeps_its_report


def on(guest: Guest, path: str) -> Entry:
    actor, history = guest.actors[0], History()
    actor.write_file(f"{path}/inblob", bytes(64))
    files = set(actor.list(path))
    names = [name for name in ATTRIBUTE_NAMES if name in files]
    attributes = {name: Attribute(f"{path}/{name}", name, "own", history) for name in names}
    return Entry(actor, path, Report(actor, "own", attributes))


@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        (STORED_AT_CLOSE, "stored before the file is closed"),
        (KEEPS_ITS_REPORT, "continues with another report"),
    ],
)
def test_the_sysfs_class_breaks_what_configfs_does(
    scenario: Scenario, seen: str, clone: Clone, attach: Attach
) -> None:
    shared = clone("class-fixed")
    provider = attach(shared)
    with pytest.raises(ClaimViolatedError, match=seen):
        scenario(on(shared, "/sys/class/tsm/tsm0"), provider, lambda: secrets.token_bytes(64))


@pytest.mark.parametrize("scenario", [STORED_AT_CLOSE, KEEPS_ITS_REPORT])
def test_our_configfs_implementation_passes(
    scenario: Scenario, clone: Clone, attach: Attach
) -> None:
    guest = clone("configfs-fixed")
    provider = attach(guest)
    entry = "/sys/kernel/config/tsm/report/own"
    guest.actors[0].mkdir(entry)
    scenario(on(guest, entry), provider, lambda: secrets.token_bytes(64))
