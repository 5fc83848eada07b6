# SPDX-License-Identifier: MIT
"""Faults: what goes wrong with one request, as data, and the queue they wait in."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from threading import Lock
from typing import Any, Self

from providers_sim.errors import ProviderError
from providers_sim.failures import KINDS, FailureTable
from providers_sim.options import parse_word
from providers_sim.spec import parse_words
from tsmw.constants import ReplyFlag, Status

__all__ = ["NO_FAULT", "Corruption", "Fault", "FaultQueue"]

_MAX_ERRNO = 4095
_MAX_OVERSIZE = 64 << 20
_MAX_DELAY = 3600.0


class Corruption(StrEnum):
    """Which bytes of a reply are damaged."""

    PAYLOAD = "payload"
    """One byte of the first frame's payload: its CRC does not match."""
    HEADER = "header"
    """One byte of the first frame's header: the guest loses synchronisation."""
    GARBAGE = "garbage"
    """Bytes before the reply, a magic number among them; the reply itself is sound."""
    LENGTHS = "lengths"
    """The reply announces one byte more than it brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request, in this order; the defaults are what no fault does.

    ``failure``: something goes wrong on the TEE's host, as the provider's own table has it under
    this name, with ``params``. ``silent``: never answered. ``vanish``: the provider says that it
    goes away instead. ``swapped``: answered together with the next request, each with the
    other's evidence. ``wrong_inblob``: the evidence is over another inblob. ``inject``: the
    value the guest's ``report_new`` returns (signed, -4095..4095). ``status``: refused with it;
    ``retry_ms`` goes with THROTTLED. ``empty``: all blobs have length 0. ``oversize``: the
    outblob has this many bytes. ``truncated``: it lacks its last bytes, consistently.
    ``padded``: so many zero bytes follow it. ``flipped``: this bit of it is flipped.
    ``no_auxblob``: there is none, as when a host has no certificates. ``keep_lengths``: neither
    auxblob nor manifestblob, and the driver leaves their lengths as the core had them.
    ``no_outblob``: the driver reports success without one. ``wrapped``: the driver fails with
    EAGAIN, and the core's counter of writes stands one before the one of reads, as after 2^64 - 1
    writes; EOPNOTSUPP when the core's counters are not where it knows them. ``vmalloc``: the driver
    hands over vmalloc memory. ``corrupt``: the reply's bytes are damaged. ``late``: answered only
    after the guest has cancelled the request. ``delay``: answered this many seconds later (times
    the loop's time scale). ``duplicate``: answered twice.
    """

    failure: str = ""
    params: tuple[tuple[str, int | float | bool | str], ...] = ()
    silent: bool = False
    vanish: bool = False
    swapped: bool = False
    wrong_inblob: bool = False
    inject: int | None = None
    status: Status | None = None
    retry_ms: int = 0
    empty: bool = False
    oversize: int | None = None
    truncated: int = 0
    padded: int = 0
    flipped: int | None = None
    no_auxblob: bool = False
    keep_lengths: bool = False
    no_outblob: bool = False
    wrapped: bool = False
    vmalloc: bool = False
    corrupt: Corruption | None = None
    late: bool = False
    delay: float = 0.0
    duplicate: bool = False

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
        """The flags of the REPORT reply."""
        return (
            ReplyFlag.VMALLOC * self.vmalloc
            | ReplyFlag.KEEP_LENGTHS * self.keep_lengths
            | ReplyFlag.NO_OUTBLOB * self.no_outblob
            | ReplyFlag.WRAP * self.wrapped
        )

    @property
    def delivers_nothing(self) -> bool:
        """Whether a guest that follows the protocol gets no evidence from the reply."""
        damaged = self.corrupt is not None and self.corrupt is not Corruption.GARBAGE
        return self.silent or self.late or self.no_outblob or self.wrapped or damaged

    def summary(self) -> str:
        """Return the members that differ from no fault, for a transcript."""
        return " ".join(f"{name}={value}" for name, value in self.to_state().items())

    def to_state(self) -> dict[str, object]:
        """Return the members that differ from no fault, as JSON can carry them."""
        return {
            name: dict(self.params) if name == "params" else value
            for name, value in asdict(self).items()
            if value != getattr(NO_FAULT, name)
        }

    @classmethod
    def from_state(cls, state: object) -> Self:
        """Make the fault that gave ``state``; ProviderError when none did."""
        known = {item.name for item in fields(cls)}
        if not isinstance(state, dict) or not set(state) <= known:
            raise ProviderError(f"this is no fault: {state!r}")
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
            raise ProviderError(f"this is no fault: {state!r} ({error})") from None


NO_FAULT = Fault()


class FaultQueue:
    """Faults that wait for requests: each is used up by one, first in, first out.

    The methods named after a fault append it for ``times`` requests and return the queue, so
    that a script reads in the order it happens: ``faults.delay(0.5).empty().silent()``.
    Faults that meet in one request are one ``Fault``: ``faults.add(Fault(late=True, empty=True))``.
    ``failures`` are what can go wrong on the provider's own host.
    """

    def __init__(self, failures: FailureTable | None = None) -> None:
        self._failures = failures or FailureTable()
        self._waiting: deque[Fault] = deque()
        self._lock = Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting)

    def add(self, fault: Fault, times: int = 1) -> Self:
        """Append ``fault`` for this many requests."""
        if times < 1:
            raise ProviderError(f"a fault is for at least one request, not {times}")
        with self._lock:
            self._waiting.extend([fault] * times)
        return self

    def clear(self) -> None:
        """Forget the faults that have not been used."""
        with self._lock:
            self._waiting.clear()

    def take(self) -> Fault:
        """Use up the first; NO_FAULT when none waits."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else NO_FAULT

    def get_state(self) -> list[dict[str, object]]:
        """Return the faults that wait, as JSON can carry them."""
        with self._lock:
            return [fault.to_state() for fault in self._waiting]

    def set_state(self, state: Sequence[object]) -> None:
        """Replace the faults that wait by what ``get_state`` gave; ProviderError when malformed."""
        waiting = [Fault.from_state(item) for item in state]
        for fault in waiting:
            if fault.failure:
                self._failures.find(fault.failure).check(dict(fault.params))
        with self._lock:
            self._waiting = deque(waiting)

    def named(self, name: str, /, **params: Any) -> Self:  # noqa: ANN401 - each fault's own
        """Append the fault called ``name``: one of the provider's failures, or any provider's.

        The parameters are the failure's, or those of the method of that name; ``times`` goes
        with both. Raises ProviderError on an unknown name or parameter.
        """
        if name in self._failures:
            return self.failure(name, params, params.pop("times", 1))
        method: Callable[..., Self] | None = getattr(self, name) if name in FAULT_NAMES else None
        if method is None:
            there = ", ".join((*self._failures, *FAULT_NAMES))
            raise ProviderError(f"there is no fault {name!r}; there are: {there}")
        try:
            return method(**params)
        except TypeError as error:
            raise ProviderError(f"fault {name!r}: {error}") from None

    def spoken(self, text: str) -> Self:
        """Append the fault that ``NAME[:KEY=VALUE,...]`` names, as a command line has it."""
        name, words = parse_words(text)
        if name in self._failures:
            times = parse_word("times", int, words.pop("times", "1"))
            return self.named(name, times=times, **self._failures[name].parse(words))
        kinds: dict[str, str] = {}
        if name in FAULT_NAMES:
            found = inspect.signature(getattr(self, name)).parameters.values()
            kinds = {item.name: item.annotation for item in found}
        return self.named(name, **{key: _parse(key, kinds, word) for key, word in words.items()})

    def failure(self, name: str, params: Mapping[str, Any] | None = None, times: int = 1) -> Self:
        """Have something go wrong on the provider's host, as its table of failures has it."""
        params = params or {}
        self._failures.find(name).check(params)
        return self.add(Fault(failure=name, params=tuple(params.items())), times)

    def fail(self, errno: int, times: int = 1) -> Self:
        """Make the guest's ``report_new`` return ``-errno``."""
        return self.inject(-errno, times)

    def inject(self, value: int, times: int = 1) -> Self:
        """Make the guest's ``report_new`` return ``value`` as it is, positive ones too."""
        return self.add(Fault(inject=value), times)

    def refuse(self, status: Status, retry_ms: int = 0, times: int = 1) -> Self:
        """Refuse with a wire status, which the driver translates."""
        return self.add(Fault(status=status, retry_ms=retry_ms), times)

    def delay(self, seconds: float, times: int = 1) -> Self:
        """Answer later."""
        return self.add(Fault(delay=seconds), times)

    def empty(self, times: int = 1) -> Self:
        """Answer with blobs of length 0."""
        return self.add(Fault(empty=True), times)

    def oversize(self, total: int, times: int = 1) -> Self:
        """Answer with an outblob of ``total`` bytes."""
        return self.add(Fault(oversize=total), times)

    def truncated(self, n: int, times: int = 1) -> Self:
        """Answer with an outblob that lacks its last ``n`` bytes."""
        return self.add(Fault(truncated=n), times)

    def padded(self, n: int, times: int = 1) -> Self:
        """Answer with an outblob that has ``n`` zero bytes more."""
        return self.add(Fault(padded=n), times)

    def flipped(self, bit: int = 0, times: int = 1) -> Self:
        """Answer with an outblob of which one bit is flipped, counted from its first byte."""
        return self.add(Fault(flipped=bit), times)

    def wrong_inblob(self, times: int = 1) -> Self:
        """Answer with evidence over an inblob that nobody asked for."""
        return self.add(Fault(wrong_inblob=True), times)

    def swapped(self, times: int = 1) -> Self:
        """Answer when a second request is in flight, each with the other's evidence."""
        return self.add(Fault(swapped=True), times)

    def vanish(self) -> Self:
        """Have the provider go away instead of answering: what is in flight fails."""
        return self.add(Fault(vanish=True))

    def silent(self, times: int = 1) -> Self:
        """Never answer."""
        return self.add(Fault(silent=True), times)

    def corrupt(self, what: str = Corruption.PAYLOAD, times: int = 1) -> Self:
        """Damage the reply's bytes: "payload", "header", "garbage" or "lengths"."""
        if what not in tuple(Corruption):
            raise ProviderError(f"what can be corrupt is {', '.join(Corruption)}; not {what!r}")
        return self.add(Fault(corrupt=Corruption(what)), times)

    def duplicate(self, times: int = 1) -> Self:
        """Answer twice."""
        return self.add(Fault(duplicate=True), times)

    def late(self, times: int = 1) -> Self:
        """Answer only after the guest has cancelled the request."""
        return self.add(Fault(late=True), times)

    def vmalloc(self, on: bool = True, times: int = 1) -> Self:
        """Have the blobs handed over in vmalloc memory."""
        return self.add(Fault(vmalloc=on), times)

    def no_auxblob(self, times: int = 1) -> Self:
        """Answer without an auxblob, as a host without certificates does."""
        return self.add(Fault(no_auxblob=True), times)

    def keep_lengths(self, times: int = 1) -> Self:
        """Answer with the outblob alone; the driver leaves the other lengths as they were."""
        return self.add(Fault(keep_lengths=True), times)

    def no_outblob(self, times: int = 1) -> Self:
        """Have the driver report success without an outblob."""
        return self.add(Fault(no_outblob=True), times)

    def wrapped(self, times: int = 1) -> Self:
        """Have the core's counter of writes stand one before the one of reads, and fail."""
        return self.add(Fault(wrapped=True), times)


def _parse(key: str, kinds: Mapping[str, str], word: str) -> int | bool | str | float:
    if kinds.get(key) == "Status":
        if word.upper() not in Status.__members__:
            raise ProviderError(f"{key} is one of {', '.join(Status.__members__)}; not {word!r}")
        return Status[word.upper()]
    return parse_word(key, KINDS.get(kinds.get(key, ""), str), word)


FAULT_NAMES = (
    "corrupt",
    "delay",
    "duplicate",
    "empty",
    "fail",
    "flipped",
    "inject",
    "keep_lengths",
    "late",
    "no_auxblob",
    "no_outblob",
    "oversize",
    "padded",
    "refuse",
    "silent",
    "swapped",
    "truncated",
    "vanish",
    "vmalloc",
    "wrapped",
    "wrong_inblob",
)
"""What ``FaultQueue.named`` accepts."""
