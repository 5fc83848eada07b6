# SPDX-License-Identifier: MIT
"""A caller's view of the report interface: its options, its blobs, its generation."""

from __future__ import annotations

from harness.errors import ClaimViolatedError, MissingAttributeError
from harness.guest.actor import Actor
from harness.interface.attribute import Attribute, Value

__all__ = ["Report"]


class Report:
    """The attributes of one report entry, used by ``actor``.

    Attributes are reached by the interface's names (``report.outblob``) to hand them to another
    actor; the methods here wait for the caller's own actor. Methods raise the guest's
    :class:`OSError`; an attribute the interface lacks raises
    :class:`harness.errors.MissingAttributeError`, with which a scenario SKIPs.
    """

    def __init__(self, actor: Actor, entry: str, attributes: dict[str, Attribute]) -> None:
        self.actor = actor
        self.entry = entry
        self._attributes = attributes

    def __getattr__(self, name: str) -> Attribute:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.attribute(name)

    def shared_with(self, actor: Actor) -> Report:
        """The same entry, used by another actor."""
        return Report(actor, self.entry, self._attributes)

    def attribute(self, name: str) -> Attribute:
        """The attribute of that name."""
        try:
            return self._attributes[name]
        except KeyError:
            raise MissingAttributeError(f"{self.entry} has no attribute {name}") from None

    def has(self, name: str) -> bool:
        """Whether the interface offers the attribute."""
        return name in self._attributes

    def write(self, name: str, value: Value) -> None:
        """Write an option: open, write once, close."""
        self.actor.write(self.attribute(name), value).result()

    def read(self, name: str) -> bytes:
        """Read an attribute to its end."""
        return self.actor.read(self.attribute(name)).result()

    def write_inblob(self, nonce: bytes) -> None:
        """Set the nonce."""
        self.write("inblob", nonce)

    def read_outblob(self) -> bytes:
        """The report; regenerated when anything was written since the last one."""
        return self.read("outblob")

    @property
    def generation_file(self) -> Attribute:
        """The attribute that :meth:`generation` reads."""
        return self.attribute("generation")

    def generation(self) -> int:
        """The write counter; raises :class:`ClaimViolatedError` when it is no number."""
        text = self.read("generation").decode("ascii", "backslashreplace").strip()
        if not text.isdecimal():
            raise ClaimViolatedError(f"generation is not a number: {text!r}")
        return int(text)
