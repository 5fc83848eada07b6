# SPDX-License-Identifier: MIT
"""Faults: the failures that a provider simulates for one request, as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Self

from providers_sim.errors import ProviderError
from tsmw.constants import ReplyFlag, Status

__all__ = ["NO_FAULT", "Corruption", "Fault"]

_MAX_ERRNO = 4095
_MAX_OVERSIZE = 64 << 20
_MAX_DELAY = 3600.0


class Corruption(StrEnum):
    """Which bytes of a reply are damaged."""

    PAYLOAD = "payload"
    """One byte of the first frame's payload, so that its CRC does not match."""
    HEADER = "header"
    """One byte of the first frame's header, so that the guest loses synchronisation."""
    GARBAGE = "garbage"
    """Bytes before the reply, with a magic number among them; the reply itself is intact."""
    LENGTHS = "lengths"
    """The announced length, which is one byte more than the reply has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """The faults of one request, applied in this order; the defaults inject nothing."""

    provider_fault: str = ""
    """Name of a row in the provider's own fault table (``Provider.faults``)."""
    params: tuple[tuple[str, int | float | bool | str], ...] = ()
    """Parameters of ``provider_fault``."""
    silent: bool = False
    """The request is never answered."""
    vanish: bool = False
    """Instead of an answer, the provider announces that it goes away (GOING_AWAY)."""
    swapped: bool = False
    """The request is answered together with the next one, each with the other's evidence."""
    wrong_inblob: bool = False
    """The evidence is over another inblob."""
    inject: int | None = None
    """Value that the guest's ``report_new`` returns, -4095..4095."""
    status: Status | None = None
    """Wire status with which the request is refused."""
    retry_ms: int = 0
    """Milliseconds after which the guest retries, with the status THROTTLED."""
    empty: bool = False
    """All blobs have length 0."""
    oversize: int | None = None
    """The outblob is repeated or cut to this many bytes."""
    truncated: int = 0
    """The outblob lacks this many of its last bytes; its announced length matches."""
    padded: int = 0
    """This many zero bytes follow the outblob."""
    flipped: int | None = None
    """Index of the outblob's bit that is flipped."""
    no_auxblob: bool = False
    """There is no auxblob, as when a host has no certificates."""
    keep_lengths: bool = False
    """Auxblob and manifestblob are absent, and the driver leaves their lengths unchanged."""
    no_outblob: bool = False
    """The driver reports success without an outblob."""
    wrapped: bool = False
    """The driver fails with EAGAIN and sets the implementation's write generation to one less
    than its read generation, as after 2^64 - 1 writes; it fails with EOPNOTSUPP when it does not
    know where the implementation keeps these counters."""
    vmalloc: bool = False
    """The driver hands over blobs in vmalloc memory."""
    corrupt: Corruption | None = None
    """The bytes of the reply that are damaged."""
    late: bool = False
    """The request is answered only after the guest has cancelled it."""
    delay: float = 0.0
    """Seconds by which the answer is delayed, times the loop's time scale."""
    duplicate: bool = False
    """The request is answered twice."""

    def __post_init__(self) -> None:
        self._within("inject", self.inject or 0, -_MAX_ERRNO, _MAX_ERRNO)
        self._within("oversize", self.oversize or 0, 0, _MAX_OVERSIZE)
        self._within("truncated", self.truncated, 0, _MAX_OVERSIZE)
        self._within("padded", self.padded, 0, _MAX_OVERSIZE)
        self._within("flipped", self.flipped or 0, 0, 8 * _MAX_OVERSIZE)
        self._within("retry_ms", self.retry_ms, 0, 0xFFFF_FFFF)
        self._within("delay", self.delay, 0.0, _MAX_DELAY)

    def _within(self, name: str, value: float, low: float, high: float) -> None:
        if not low <= value <= high:
            raise ProviderError(f"a fault's {name} is within {low}..{high}, not {value}")

    @property
    def flags(self) -> int:
        """Flags of the REPORT reply."""
        return (
            ReplyFlag.VMALLOC * self.vmalloc
            | ReplyFlag.KEEP_LENGTHS * self.keep_lengths
            | ReplyFlag.NO_OUTBLOB * self.no_outblob
            | ReplyFlag.WRAP * self.wrapped
        )

    @property
    def delivers_evidence(self) -> bool:
        """Whether a guest that follows the protocol gets evidence from the reply."""
        intact = self.corrupt in (None, Corruption.GARBAGE)
        return intact and not (self.silent or self.late or self.no_outblob or self.wrapped)

    def summary(self) -> str:
        """Return the members that differ from their defaults, as text for a transcript."""
        return " ".join(f"{name}={value}" for name, value in self.to_state().items())

    def to_state(self) -> dict[str, object]:
        """Return the members that differ from their defaults, as values that JSON can represent."""
        return {
            name: dict(self.params) if name == "params" else value
            for name, value in asdict(self).items()
            if value != getattr(NO_FAULT, name)
        }

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Make the fault from the result of ``to_state``; ProviderError when it is malformed."""
        known = {item.name for item in fields(cls)}
        if not isinstance(state, dict) or not set(state) <= known:
            raise ProviderError(f"this is not a fault: {state!r}")
        members: dict[str, Any] = dict(state)
        try:
            if "params" in members:
                members["params"] = tuple(dict(members["params"]).items())
            if members.get("status") is not None:
                members["status"] = Status(members["status"])
            if members.get("corrupt") is not None:
                members["corrupt"] = Corruption(members["corrupt"])
            return cls(**members)
        except (TypeError, ValueError) as error:
            raise ProviderError(f"this is not a fault: {state!r} ({error})") from None


NO_FAULT = Fault()
