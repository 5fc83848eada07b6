# SPDX-License-Identifier: MIT
"""Which interface a guest has, found from the directories that exist in it."""

from __future__ import annotations

from typing import Literal

from harness.errors import ScenarioError
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.interface.attribute import Attribute, Value
from harness.interface.history import History
from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from harness.interface.report import Report

__all__ = ["CLASS_DEVICE", "CONFIGFS_REPORTS", "Interface", "find_interface"]

CLASS_DEVICE = "/sys/class/tsm/tsm0"
"""The device of the sysfs class: its one entry."""
CONFIGFS_REPORTS = "/sys/kernel/config/tsm/report"
"""The directory of the entries of configfs-tsm."""
_HEX_INBLOB = "inhex"
"""The sysfs class's nonce file before it became binary: it takes hexadecimal text."""


class Interface:
    """The files that the implementation in ``guest`` offers, and the history of their use.

    ``kind`` is ``class`` (one device, ``shared`` by all callers) or ``configfs`` (a directory
    per caller).
    """

    def __init__(self, guest: Guest, kind: Literal["class", "configfs"]) -> None:
        self.guest = guest
        self.kind = kind
        self.history = History()
        self._entries = 0

    @property
    def shared(self) -> bool:
        """Whether all callers share one set of options."""
        return self.kind == "class"

    def report(self, actor: Actor | None = None, *, entry: str = "") -> Report:
        """A report for ``actor`` (default: the first): the class device, or a new configfs entry.

        ``entry`` names the configfs entry. The report starts at a privilege level that the
        provider accepts: implementations start at level 0, which firmware refuses to a guest
        with a higher floor.
        """
        actor = actor or self.guest.actors[0]
        if self.shared:
            directory, entry = CLASS_DEVICE, "tsm0"
        else:
            if not entry:
                self._entries += 1
                entry = f"report{self._entries}"
            directory = f"{CONFIGFS_REPORTS}/{entry}"
            actor.mkdir(directory)
        report = Report(actor, entry, self._attributes(actor, directory, entry))
        loop = self.guest.provider
        if loop is not None and loop.provider.privlevel_floor and report.has("privlevel"):
            report.write("privlevel", loop.provider.privlevel_floor)
        return report

    def _attributes(
        self, actor: Actor, directory: str, entry: str
    ) -> dict[AttributeName, Attribute]:
        files = set(actor.list(directory))
        found = {
            name: Attribute(f"{directory}/{name}", name, entry, self.history)
            for name in ATTRIBUTE_NAMES
            if name in files
        }
        if _HEX_INBLOB in files and "inblob" not in files:
            path = f"{directory}/{_HEX_INBLOB}"
            found["inblob"] = Attribute(path, "inblob", entry, self.history, _hex)
        return found


def find_interface(guest: Guest) -> Interface:
    """The interface of the loaded implementation; raises :class:`ScenarioError` without one."""
    actor = guest.actors[0]
    if actor.exists(CLASS_DEVICE):
        return Interface(guest, "class")
    if actor.exists(CONFIGFS_REPORTS):
        return Interface(guest, "configfs")
    raise ScenarioError(
        "the guest has no report interface",
        hint="load an implementation, and attach a provider before looking for the interface",
    )


def _hex(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ScenarioError(f"a nonce is bytes, not {value!r}")
    return value.hex().encode()
