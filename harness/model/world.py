# SPDX-License-Identifier: MIT
"""The state of the model: the provider, the entries and the open files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from harness.interface.names import AttributeName
from harness.model.outcome import Blobs

__all__ = ["Entry", "OpenedFile", "Provider", "World", "state_class"]

T = TypeVar("T")


@dataclass(frozen=True)
class Provider:
    """The registered provider: its name, lowest privilege level and visible attributes."""

    name: str
    floor: int
    attributes: frozenset[AttributeName]


@dataclass(frozen=True)
class Entry:
    """An entry of configfs, or the one device of the class.

    ``epoch`` is the number of the registration that it was made under, ``number`` its own.
    ``written`` counts commits; the attribute ``generation`` shows ``base`` plus ``written``, and
    ``base`` is None until it was read. ``report`` is the report of the current options, and
    ``early_error`` the errno with which it could not be made when they were written. ``last`` is
    what became of the last report: "", "made", "replaced" or "failed".
    """

    number: int
    epoch: int
    attributes: frozenset[AttributeName]
    nonce: bytes = b""
    privlevel: int = 0
    format: int = 0
    service_provider: bytes = b""
    service_guid: bytes = bytes(16)
    service_manifest_version: int = 0
    written: int = 0
    base: int | None = None
    report: Blobs | None = None
    early_error: int = 0
    last: str = ""

    def commit(self, **changes: object) -> Entry:
        """The entry after one write."""
        last = "replaced" if self.last == "made" else self.last
        return replace(
            self,
            written=self.written + 1,
            report=None,
            early_error=0,
            last=last,
            **changes,  # type: ignore[arg-type] # the callers name the members
        )

    def made(self, blobs: Blobs) -> Entry:
        """The entry with the report of its options."""
        return replace(self, report=blobs, early_error=0, last="made")

    def failed(self, early_error: int = 0) -> Entry:
        """The entry after its report could not be made."""
        return replace(self, report=None, early_error=early_error, last="failed")


@dataclass(frozen=True)
class OpenedFile:
    """An open blob. ``seen`` is the report that it has returned bytes of, ``position`` in it."""

    entry: str
    number: int
    attribute: AttributeName
    position: int = 0
    seen: Blobs | None = None


@dataclass(frozen=True)
class World:
    """Everything that the implementation has to remember.

    ``epoch`` counts registrations, ``made`` the entries ever made.
    """

    provider: Provider | None
    epoch: int
    made: int
    entries: tuple[tuple[str, Entry], ...] = ()
    files: tuple[tuple[str, OpenedFile], ...] = ()

    def entry(self, name: str) -> Entry | None:
        """The entry of that name."""
        return dict(self.entries).get(name)

    def file(self, slot: str) -> OpenedFile | None:
        """The open file of that name."""
        return dict(self.files).get(slot)

    def with_entry(self, name: str, entry: Entry | None) -> World:
        """The world with one entry replaced, added or removed."""
        return replace(self, entries=_replaced(self.entries, name, entry))

    def with_file(self, slot: str, file: OpenedFile | None) -> World:
        """The world with one open file replaced, added or removed."""
        return replace(self, files=_replaced(self.files, slot, file))


def _replaced(
    pairs: tuple[tuple[str, T], ...], name: str, value: T | None
) -> tuple[tuple[str, T], ...]:
    items = dict(pairs)
    items.pop(name, None)
    if value is not None:
        items[name] = value
    return tuple(sorted(items.items(), key=lambda pair: pair[0]))


def state_class(world: World, name: str) -> str:
    """The class of state that coverage counts for one entry."""
    entry = world.entry(name)
    if entry is None:
        return "no entry, " + ("provider" if world.provider else "no provider")
    if world.provider is None:
        provider = "provider gone"
    else:
        provider = "provider" if entry.epoch == world.epoch else "another provider"
    if not entry.nonce:
        report = "no nonce"
    elif entry.report is not None:
        report = "report cached"
    else:
        report = {"": "nonce written", "replaced": "written after a report"}.get(
            entry.last, "last report failed" if entry.last == "failed" else "nonce written"
        )
    return f"{provider}, {report}"
