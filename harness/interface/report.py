# SPDX-License-Identifier: MIT
"""One caller's view of a report entry: its attributes, and reads and writes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.errors import ClaimViolatedError, MissingAttributeError
from harness.guest.actor import Actor, read_ops
from harness.guest.call import Call
from harness.interface.attribute import Attribute, Value
from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from tsmw.ops import OpResult

__all__ = ["Report"]


class _Named:
    """A read-only property of :class:`Report` that is the attribute ``name``."""

    def __init__(self, name: AttributeName) -> None:
        self.name = name

    def __get__(self, report: Report, owner: type[Report]) -> Attribute:
        return report.attribute(self.name)


class Report:
    """The attributes of one report entry, used by ``actor``.

    Each name in :data:`~harness.interface.names.AttributeName` is a property: pass
    ``report.outblob`` to another actor's ``start_read``. The methods use ``actor`` itself, and
    wait. Every use of an attribute raises :class:`harness.errors.MissingAttributeError` when this
    guest does not have it, and :class:`AttributeError` when the interface does not define it.
    Reads and writes also raise the guest's :class:`OSError`.
    """

    inblob = _Named("inblob")
    outblob = _Named("outblob")
    auxblob = _Named("auxblob")
    manifestblob = _Named("manifestblob")
    generation = _Named("generation")
    provider = _Named("provider")
    privlevel = _Named("privlevel")
    privlevel_floor = _Named("privlevel_floor")
    service_provider = _Named("service_provider")
    service_guid = _Named("service_guid")
    service_manifest_version = _Named("service_manifest_version")
    format = _Named("format")

    def __init__(
        self, actor: Actor, entry: str, attributes: Mapping[AttributeName, Attribute]
    ) -> None:
        self.actor = actor
        self.entry = entry
        self._attributes = attributes

    def shared_with(self, actor: Actor) -> Report:
        """The same entry, used by another actor."""
        return Report(actor, self.entry, self._attributes)

    def attribute(self, name: AttributeName) -> Attribute:
        """The attribute ``name``."""
        if self.has(name):
            return self._attributes[name]
        raise MissingAttributeError(f"{self.entry} has no attribute {name}", name)

    def has(self, name: AttributeName) -> bool:
        """Whether this guest has the attribute."""
        if name not in ATTRIBUTE_NAMES:
            raise AttributeError(f"the report interface defines no attribute {name!r}")
        return name in self._attributes

    def write(self, name: AttributeName, value: Value) -> None:
        """Open the attribute, write ``value`` in one call, close."""
        self.attribute(name).start_write(self.actor, value).result()

    def read(self, name: AttributeName) -> bytes:
        """Read the attribute to its end."""
        return self.attribute(name).start_read(self.actor).result()

    def write_inblob(self, nonce: bytes) -> None:
        """Write the nonce."""
        self.write("inblob", nonce)

    def read_outblob(self) -> bytes:
        """Read the report; after a write the implementation requests a new one."""
        return self.read("outblob")

    def start_attest(self, actor: Actor, nonce: bytes) -> Call[bytes]:
        """Let ``actor`` write the nonce and read the report, in one batch.

        Nothing documents in which of these calls an implementation asks the provider. A scenario
        that holds the request must therefore not wait for the write alone.
        """
        writing = self.inblob.write_ops(nonce)

        def decode(results: Sequence[OpResult]) -> bytes:
            self.inblob.end_write(number, results[: len(writing)])
            return self.outblob.end_read(actor, results[len(writing) :])

        ops = [*writing, *read_ops(self.outblob.path)]
        call = actor.start(ops, decode, f"attestation through {self.entry}")
        number = self.inblob.begin_write(nonce)
        return call

    def read_generation(self) -> int:
        """The write counter; raises :class:`ClaimViolatedError` when it is not a number."""
        text = self.read("generation").decode("ascii", "backslashreplace").strip()
        if not text.isdecimal():
            raise ClaimViolatedError(f"generation is not a number: {text!r}")
        return int(text)
