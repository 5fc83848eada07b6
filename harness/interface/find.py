# SPDX-License-Identifier: MIT
"""Which interface a guest has, found by looking rather than by configuration."""

from __future__ import annotations

from typing import Literal

from harness.errors import ScenarioError
from harness.guest.actor import Actor
from harness.guest.guest import Guest
from harness.interface.attribute import Attribute, Value
from harness.interface.history import History
from harness.interface.report import Report

__all__ = ["Interface", "find_interface"]

_CLASS_DEVICE = "/sys/class/tsm/tsm0"
_CONFIGFS_REPORTS = "/sys/kernel/config/tsm/report"
# What sysfs puts into every class device; the rest is the interface.
_DEVICE_FILES = frozenset({"device", "power", "subsystem", "uevent"})


class Interface:
    """The files a TSM core offers in ``guest``, and what was done with them.

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
        """``actor``'s report: the one device, or a configfs entry of its own (``entry``)."""
        actor = actor or self.guest.actors[0]
        if self.kind == "class":
            return self._ready(actor, _CLASS_DEVICE, "tsm0")
        if not entry:
            self._entries += 1
            entry = f"report{self._entries}"
        directory = f"{_CONFIGFS_REPORTS}/{entry}"
        actor.mkdir(directory)
        return self._ready(actor, directory, entry)

    def _ready(self, actor: Actor, directory: str, entry: str) -> Report:
        """The entry, at a privilege level that the provider accepts.

        A core starts with level 0, which firmware refuses to a guest that runs at a lesser one.
        """
        report = Report(actor, entry, self._attributes(actor, directory, entry))
        loop = self.guest.provider
        floor = loop.provider.privlevel_floor if loop is not None else 0
        if floor and report.has("privlevel"):
            report.write("privlevel", floor)
        return report

    def _attributes(self, actor: Actor, directory: str, entry: str) -> dict[str, Attribute]:
        found = {}
        for name in actor.list(directory):
            if name in _DEVICE_FILES:
                continue
            path = f"{directory}/{name}"
            if name == "inhex":  # the proposal's text nonce, before it became binary
                found["inblob"] = Attribute(path, "inblob", entry, self.history, _hex)
            else:
                found[name] = Attribute(path, name, entry, self.history)
        return found


def find_interface(guest: Guest) -> Interface:
    """Look which interface the loaded core offers; raises :class:`ScenarioError` when none."""
    actor = guest.actors[0]
    if actor.exists(_CLASS_DEVICE):
        return Interface(guest, "class")
    if actor.exists(_CONFIGFS_REPORTS):
        return Interface(guest, "configfs")
    raise ScenarioError("the guest has no report interface: no provider registered, or no TSM core")


def _hex(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ScenarioError(f"a nonce is bytes, not {value!r}")
    return value.hex().encode()
