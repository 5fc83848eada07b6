# SPDX-License-Identifier: MIT
"""The queue of faults that are injected into the next requests, and the faults' names."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any, Self, TypeVar

from providers_sim.errors import ProviderError
from providers_sim.fault_table import FaultTable, parameters
from providers_sim.faults import NO_FAULT, Corruption, Fault
from providers_sim.options import parse_value, split_spec
from tsmw.constants import Status

__all__ = ["COMMON_FAULTS", "FaultQueue"]

M = TypeVar("M", bound=Callable[..., Any])

COMMON_FAULTS: list[str] = []
"""Names of the faults that every provider has: methods of ``FaultQueue``, sorted."""


def _common(method: M) -> M:
    COMMON_FAULTS.append(method.__name__)
    COMMON_FAULTS.sort()
    return method


class FaultQueue:
    """Faults for the next requests, first in, first out; each request uses one.

    The methods named after a fault append it for ``times`` requests and return the queue, so
    that calls can be chained: ``faults.delay(0.5).empty().silent()``. To inject several faults
    into one request, append one ``Fault``: ``faults.add(Fault(late=True, empty=True))``.
    ``table`` has the provider's own faults.
    """

    def __init__(self, table: FaultTable | None = None) -> None:
        self._table = table or FaultTable()
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

    def add_named(self, name: str, /, **params: Any) -> Self:  # noqa: ANN401 - each fault's own
        """Append the fault ``name``: a row of the provider's table, or one of COMMON_FAULTS.

        The parameters are the row's, or those of the method of that name; ``times`` is valid
        with both. Raises ProviderError on an unknown name or parameter.
        """
        if name in self._table:
            times = params.pop("times", 1)
            self._table[name].check(params)
            return self.add(Fault(provider_fault=name, params=tuple(params.items())), times)
        if name not in COMMON_FAULTS:
            names = ", ".join((*self._table, *COMMON_FAULTS))
            raise ProviderError(f"there is no fault {name!r}; there are: {names}")
        try:
            queue: Self = getattr(self, name)(**params)
        except TypeError as error:
            raise ProviderError(f"fault {name!r}: {error}") from None
        return queue

    def add_spec(self, spec: str) -> Self:
        """Append the fault that ``NAME[:KEY=VALUE,...]`` names; see ``add_named``."""
        name, texts = split_spec(spec)
        kinds: dict[str, tuple[type, object]] = {}
        if name in self._table:
            kinds = {**self._table[name].parameters, "times": (int, 1)}
        elif name in COMMON_FAULTS:
            kinds = parameters(getattr(self, name))
        values = {
            key: parse_value(key, kinds[key][0] if key in kinds else str, text)
            for key, text in texts.items()
        }
        return self.add_named(name, **values)

    def clear(self) -> None:
        """Remove the faults that no request has used."""
        with self._lock:
            self._waiting.clear()

    def take(self) -> Fault:
        """Remove and return the first fault; NO_FAULT when the queue is empty."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else NO_FAULT

    def waiting(self) -> tuple[Fault, ...]:
        """Return the faults that no request has used."""
        with self._lock:
            return tuple(self._waiting)

    def get_state(self) -> list[dict[str, object]]:
        """Return the queued faults as values that JSON can represent."""
        with self._lock:
            return [fault.to_state() for fault in self._waiting]

    def set_state(self, state: Sequence[object]) -> None:
        """Replace the queue by the result of ``get_state``; ProviderError when it is malformed."""
        waiting = [Fault.from_state(item) for item in state]
        for fault in waiting:
            if fault.provider_fault:
                self._table.find(fault.provider_fault).check(dict(fault.params))
        with self._lock:
            self._waiting = deque(waiting)

    @_common
    def fail(self, errno: int, times: int = 1) -> Self:
        """Make the guest's ``report_new`` return ``-errno``."""
        return self.add(Fault(inject=-errno), times)

    @_common
    def inject(self, value: int, times: int = 1) -> Self:
        """Make the guest's ``report_new`` return ``value``, which may be positive."""
        return self.add(Fault(inject=value), times)

    @_common
    def refuse(self, status: Status, retry_ms: int = 0, times: int = 1) -> Self:
        """Refuse with a wire status, which the driver translates into an errno."""
        return self.add(Fault(status=status, retry_ms=retry_ms), times)

    @_common
    def delay(self, seconds: float, times: int = 1) -> Self:
        """Delay the answer by ``seconds``."""
        return self.add(Fault(delay=seconds), times)

    @_common
    def empty(self, times: int = 1) -> Self:
        """Answer with blobs of length 0."""
        return self.add(Fault(empty=True), times)

    @_common
    def oversize(self, total: int, times: int = 1) -> Self:
        """Answer with an outblob of ``total`` bytes."""
        return self.add(Fault(oversize=total), times)

    @_common
    def truncated(self, n: int, times: int = 1) -> Self:
        """Answer with an outblob that lacks its last ``n`` bytes."""
        return self.add(Fault(truncated=n), times)

    @_common
    def padded(self, n: int, times: int = 1) -> Self:
        """Answer with an outblob followed by ``n`` zero bytes."""
        return self.add(Fault(padded=n), times)

    @_common
    def flipped(self, bit: int = 0, times: int = 1) -> Self:
        """Answer with an outblob whose bit number ``bit`` is flipped."""
        return self.add(Fault(flipped=bit), times)

    @_common
    def wrong_inblob(self, times: int = 1) -> Self:
        """Answer with evidence over another inblob than the requested one."""
        return self.add(Fault(wrong_inblob=True), times)

    @_common
    def swapped(self, times: int = 1) -> Self:
        """Answer when a second request is in flight, each with the other's evidence."""
        return self.add(Fault(swapped=True), times)

    @_common
    def vanish(self) -> Self:
        """Announce that the provider goes away instead of answering; requests in flight fail."""
        return self.add(Fault(vanish=True))

    @_common
    def silent(self, times: int = 1) -> Self:
        """Never answer."""
        return self.add(Fault(silent=True), times)

    @_common
    def corrupt(self, what: str = Corruption.PAYLOAD, times: int = 1) -> Self:
        """Damage the reply's bytes: "payload", "header", "garbage" or "lengths"."""
        if what not in tuple(Corruption):
            raise ProviderError(f"what can be corrupt is {', '.join(Corruption)}; not {what!r}")
        return self.add(Fault(corrupt=Corruption(what)), times)

    @_common
    def duplicate(self, times: int = 1) -> Self:
        """Answer twice."""
        return self.add(Fault(duplicate=True), times)

    @_common
    def late(self, times: int = 1) -> Self:
        """Answer only after the guest has cancelled the request."""
        return self.add(Fault(late=True), times)

    @_common
    def vmalloc(self, on: bool = True, times: int = 1) -> Self:
        """Have the driver hand over the blobs in vmalloc memory."""
        return self.add(Fault(vmalloc=on), times)

    @_common
    def no_auxblob(self, times: int = 1) -> Self:
        """Answer without an auxblob, as a host without certificates does."""
        return self.add(Fault(no_auxblob=True), times)

    @_common
    def keep_lengths(self, times: int = 1) -> Self:
        """Answer with the outblob alone; the driver leaves the other lengths unchanged."""
        return self.add(Fault(keep_lengths=True), times)

    @_common
    def no_outblob(self, times: int = 1) -> Self:
        """Have the driver report success without an outblob."""
        return self.add(Fault(no_outblob=True), times)

    @_common
    def wrapped(self, times: int = 1) -> Self:
        """Set the implementation's write generation to one less than its read generation; fail."""
        return self.add(Fault(wrapped=True), times)
