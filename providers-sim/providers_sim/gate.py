# SPDX-License-Identifier: MIT
"""The gate: requests held open until the scenario lets them go."""

from __future__ import annotations

from threading import Condition
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from providers_sim.errors import ProviderError, ProviderTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from tsmw.report import ReportRequest

__all__ = ["Gate", "Holdable", "Waiter"]

_DEFAULT_TIMEOUT = 30.0
"""Seconds a wait may take, times the loop's time scale, unless the caller says otherwise."""


class Holdable(Protocol):
    """What a gate holds."""

    @property
    def request(self) -> ReportRequest:
        """The request as the guest made it."""


class Waiter:
    """A condition variable with deadlines that ends every wait when its owner fails or closes."""

    def __init__(self, time_scale: float) -> None:
        self.condition = Condition()
        self.ended: str = ""
        self._default_timeout = _DEFAULT_TIMEOUT * time_scale

    def end(self, why: str) -> None:
        """End all waits, present and future, with ProviderError(why)."""
        with self.condition:
            self.ended = self.ended or why
            self.condition.notify_all()

    def wait(
        self, predicate: Callable[[], bool], timeout: float | None, what: Callable[[], str]
    ) -> None:
        """Wait until ``predicate``; ProviderTimeout, naming ``what``, after ``timeout`` seconds."""
        if timeout is None:
            timeout = self._default_timeout
        deadline = monotonic() + timeout
        with self.condition:
            while not predicate():
                if self.ended:
                    raise ProviderError(f"{what()}: will not happen, {self.ended}")
                left = deadline - monotonic()
                if left <= 0:
                    raise ProviderTimeout(f"{what()}: did not happen in {timeout:g} s")
                self.condition.wait(left)


class Gate:
    """Holds every request that arrives while it is open as a context; leaving releases all.

    Made by ``ProviderLoop.hold()``.
    """

    def __init__(self, waiter: Waiter, let_go: Callable[[list[Holdable]], None]) -> None:
        self._waiter = waiter
        self._let_go = let_go
        self._held: list[Holdable] = []
        self._forgotten: list[Holdable] = []
        self._arrived = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._waiter.condition:
            self._closed = True
        self.release()

    @property
    def held(self) -> list[ReportRequest]:
        """The requests held now, in the order they came."""
        with self._waiter.condition:
            return [item.request for item in self._held]

    @property
    def closed(self) -> bool:
        """Whether the context was left, so that nothing is held any more."""
        with self._waiter.condition:
            return self._closed

    @property
    def arrived(self) -> int:
        """How many requests the gate has held, released and cancelled ones included."""
        with self._waiter.condition:
            return self._arrived

    def wait_for_request(self, n: int = 1, timeout: float | None = None) -> list[ReportRequest]:
        """Wait until ``n`` requests are held and return those held.

        Raises ProviderTimeout, or ProviderError when the loop ended meanwhile.
        """
        self._waiter.wait(
            lambda: len(self._held) >= n,
            timeout,
            lambda: f"{n} held request(s), {len(self._held)} held and {self._arrived} arrived",
        )
        return self.held

    def release(self, n: int | None = None, *, reverse: bool = False) -> int:
        """Let the oldest ``n`` held requests (all without ``n``) be answered, in their order.

        With ``reverse`` the latest ``n``, latest first. Returns how many were let go.
        """
        with self._waiter.condition:
            order = self._held[::-1] if reverse else list(self._held)
            chosen = order[:n]
            self._held = [item for item in self._held if item not in chosen]
            unwanted = self._forgotten if n is None else []
            self._forgotten = [] if n is None else self._forgotten
        self._let_go([*chosen, *unwanted])
        return len(chosen)

    def take(self, item: Holdable) -> bool:
        """Hold ``item`` unless the gate is closed; for the loop."""
        with self._waiter.condition:
            if self._closed:
                return False
            self._held.append(item)
            self._arrived += 1
            self._waiter.condition.notify_all()
            return True

    def forget(self, item: Holdable) -> None:
        """Drop a request that the guest cancelled; for the loop, which is told on release."""
        with self._waiter.condition:
            if item in self._held:
                self._held.remove(item)
                self._forgotten.append(item)
                self._waiter.condition.notify_all()
