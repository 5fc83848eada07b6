# SPDX-License-Identifier: MIT
"""Which interface a guest has, found from the directories that exist in it."""

from __future__ import annotations

from typing import Literal

from harness.errors import InterfaceCallError, NoInterfaceError, ScenarioError
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.interface.attribute import Attribute, Value, interface_errors
from harness.interface.history import History
from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from harness.interface.report import Report

__all__ = ["CLASS_DEVICE", "CONFIGFS_REPORTS", "Interface", "find_interface", "is_of_interface"]

CLASS_DEVICE = "/sys/class/tsm/tsm0"
"""The device of the sysfs class: its one entry."""
CONFIGFS_REPORTS = "/sys/kernel/config/tsm/report"
"""The directory of the entries of configfs-tsm."""
_HEX_INBLOB = "inhex"
"""The sysfs class's nonce file before it became binary: it takes hexadecimal text."""


class Interface:
    """The files that the implementation in ``guest`` offers, and the history of their use.

    ``kind`` is ``class`` (one device, ``shared`` by all callers) or ``configfs`` (a directory
    per caller). ``used`` is whether a report was made.
    """

    def __init__(self, guest: Guest, kind: Literal["class", "configfs"]) -> None:
        self.guest = guest
        self.kind = kind
        self.history = History()
        self.used = False
        self._entries = 0

    @property
    def shared(self) -> bool:
        """Whether all callers share one set of options."""
        return self.kind == "class"

    def report(self, actor: Actor | None = None, *, entry: str = "") -> Report:
        """A report for ``actor`` (default: the first): the class device, or a new configfs entry.

        ``entry`` names the configfs entry. The report starts at a privilege level that the
        provider accepts: implementations start at level 0, which firmware refuses to a guest
        with a higher floor. Raises :class:`NoInterfaceError` when the first entry cannot be made,
        and :class:`InterfaceCallError` for a later one.
        """
        actor = actor or self.guest.actors[0]
        if self.shared:
            directory, entry = CLASS_DEVICE, "tsm0"
        else:
            if not entry:
                self._entries += 1
                entry = f"report{self._entries}"
            directory = f"{CONFIGFS_REPORTS}/{entry}"
            self._make_entry(actor, directory)
        report = Report(actor, entry, self._attributes(actor, directory, entry))
        self.used = True
        loop = self.guest.provider
        if loop is not None and loop.provider.privlevel_floor and report.has("privlevel"):
            report.write("privlevel", loop.provider.privlevel_floor)
        return report

    def _make_entry(self, actor: Actor, directory: str) -> None:
        try:
            with interface_errors():
                actor.mkdir(directory)
        except InterfaceCallError as error:
            if self.used:
                raise
            raise NoInterfaceError(f"no entry can be made: {error}") from error

    def _attributes(
        self, actor: Actor, directory: str, entry: str
    ) -> dict[AttributeName, Attribute]:
        with interface_errors():
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


def is_of_interface(text: str) -> bool:
    """Whether the name of a call in a guest has a path of an interface."""
    return CLASS_DEVICE in text or CONFIGFS_REPORTS in text


def find_interface(guest: Guest) -> Interface:
    """The interface of the loaded implementation; raises :class:`NoInterfaceError` without one."""
    actor = guest.actors[0]
    if actor.exists(CLASS_DEVICE):
        return Interface(guest, "class")
    if actor.exists(CONFIGFS_REPORTS):
        return Interface(guest, "configfs")
    raise NoInterfaceError(
        f"the guest has neither {CLASS_DEVICE} nor {CONFIGFS_REPORTS}",
        hint="load an implementation, and attach a provider before looking for the interface",
    )


def _hex(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ScenarioError(f"a nonce is bytes, not {value!r}")
    return value.hex().encode()
