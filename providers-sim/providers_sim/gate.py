# SPDX-License-Identifier: MIT
"""The gate: requests stay open until the scenario releases them."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from providers_sim.errors import ProviderError
from providers_sim.service import Pending, Service
from providers_sim.transport import Transport
from tsmw.report import ReportRequest

__all__ = ["Gate"]


class Gate:
    """Holds every request that arrives before its context ends; the end releases all.

    Made by ``ProviderLoop.hold()``. Raises ProviderError while another gate is in force.
    """

    def __init__(self, service: Service, transport: Transport) -> None:
        self._service = service
        self._transport = transport
        self._arrived: list[Pending] = []
        with transport.update():
            if service.gate is not None:
                raise ProviderError("requests are already held: leave that gate's context first")
            service.gate = self._arrived

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._transport.update():
            if self._service.gate is self._arrived:
                self._service.gate = None
        self.release()

    @property
    def held(self) -> list[ReportRequest]:
        """The requests that are held now, in the order in which they arrived."""
        with self._transport.changed:
            return [pending.request for pending in self._held()]

    @property
    def arrived(self) -> int:
        """How many requests the gate has held, released and cancelled ones included."""
        return len(self._arrived)

    def wait_for_request(self, n: int = 1, timeout: float | None = None) -> list[ReportRequest]:
        """Wait until ``n`` requests are held, and return those held.

        Raises ProviderTimeout at the deadline, and ProviderError when the loop has ended.
        """
        self._transport.wait_until(
            lambda: len(self._held()) >= n,
            timeout,
            lambda: f"a hold of {n} request(s) ({len(self._held())} held, {self.arrived} arrived)",
        )
        return self.held

    def release(self, n: int | None = None, *, reverse: bool = False) -> int:
        """Release the oldest ``n`` held requests (default: all), which are answered in order.

        With ``reverse``, release the latest ``n``, latest first. Return how many were released.
        """
        with self._transport.update():
            held = self._held()
            released = (held[::-1] if reverse else held)[:n]
            done = released if n is not None else [*released, *self._given_up()]
            for pending in done:
                pending.held = False
        self._transport.post(lambda: self._service.proceed(*done))
        return len(released)

    def _held(self) -> list[Pending]:
        return [pending for pending in self._arrived if pending.held and not pending.given_up]

    def _given_up(self) -> list[Pending]:
        return [pending for pending in self._arrived if pending.held and pending.given_up]
