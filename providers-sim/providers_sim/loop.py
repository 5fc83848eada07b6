# SPDX-License-Identifier: MIT
"""The provider loop: answers one guest's provider port with one provider's evidence."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from providers_sim.errors import ProviderError
from providers_sim.fault_queue import FaultQueue
from providers_sim.faults import Fault
from providers_sim.gate import Gate
from providers_sim.provider import AnyProvider, State
from providers_sim.service import Service
from providers_sim.transcript import IssuedReport, Transcript
from providers_sim.transport import Transport
from tsmw.hello import GuestHello

__all__ = ["ProviderLoop"]


class ProviderLoop:
    """Serves ``provider`` on ``sock`` from a thread, until closed or until the guest is gone.

    ``sock`` is a connected stream socket. The loop owns it and closes it when the thread ends for
    any reason, so that a guest never waits for a host that is gone. ``time_scale`` multiplies
    injected delays and the default timeout of waits (30 s): above 1 on a slow host.
    ``request_timeout_ms`` is the driver's timeout of a request: 0 none, None the driver's default.
    ``reset`` sends RESET first: a guest that had another host before may not have noticed the
    change. ``resume`` is what another loop's ``get_state`` returned, whose session continues here:
    the guest is a copy of that loop's guest.

    The methods are for other threads. Waits raise ProviderTimeout at their deadline, and
    ProviderError when the loop has ended.
    """

    def __init__(
        self,
        provider: AnyProvider,
        sock: socket.socket,
        *,
        time_scale: float = 1.0,
        request_timeout_ms: int | None = None,
        reset: bool = False,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        self.provider = provider
        self.faults = FaultQueue(provider.faults)
        self._transport = Transport(sock, name=f"provider-{provider.id}", time_scale=time_scale)
        self._service = Service(
            provider,
            self._transport,
            self.faults,
            time_scale=time_scale,
            request_timeout_ms=request_timeout_ms,
        )
        if reset:
            self._service.send_reset()
        if resume is not None:
            self._restore(resume)
            self._service.resume(resume["session"])
        self._transport.start(self._service.receive)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread and close the socket; a second call does nothing."""
        self._transport.close()

    # What happened.

    @property
    def closed(self) -> bool:
        """Whether the loop has ended."""
        return bool(self._transport.ended)

    @property
    def session(self) -> int:
        """The session in force; 0 before the guest's first HELLO."""
        return self._service.session

    @property
    def driver(self) -> GuestHello | None:
        """What the guest's driver said of itself in its last HELLO; None before it."""
        return self._service.driver

    @property
    def requests(self) -> int:
        """How many well-formed REPORT requests the guest has sent."""
        return self._service.requests

    @property
    def cancelled(self) -> int:
        """How many requests the guest has cancelled while they were in flight."""
        return self._service.cancelled

    @property
    def in_flight(self) -> int:
        """How many requests are neither answered nor cancelled."""
        return len(self._service.in_flight)

    @property
    def max_in_flight_seen(self) -> int:
        """The largest value that ``in_flight`` ever had."""
        return self._service.max_in_flight_seen

    @property
    def longest_answer_s(self) -> float:
        """The longest time a request waited for the provider, in seconds, until now at least."""
        return self._service.longest_answer_s()

    @property
    def transcript(self) -> Transcript:
        """Everything that crossed the port."""
        return self._service.transcript

    @property
    def issued(self) -> Sequence[IssuedReport]:
        """The evidence sent, oldest first, without the ``issued_dropped`` oldest reports."""
        return self._service.issued.items()

    @property
    def issued_dropped(self) -> int:
        """How many of the oldest issued reports were dropped to bound memory."""
        return self._service.issued.dropped

    @property
    def error(self) -> Exception | None:
        """The exception that ended the loop, or the provider's first that was no refusal."""
        return self._transport.error or self._service.error

    def ineffective_faults(self) -> tuple[str, ...]:
        """Return a sentence for each injected fault that changed nothing, or was never used."""
        with self._transport.changed:
            used = tuple(self._service.ineffective)
        unused = (fault.provider_fault or fault.summary() for fault in self.faults.waiting())
        return used + tuple(f"the fault {name} was not used: no request came" for name in unused)

    def raise_if_failed(self) -> None:
        """Raise ProviderError when the provider or the loop itself broke."""
        error = self.error
        if error is not None:
            raise ProviderError(f"provider {self.provider.id} broke: {error!r}") from error

    def wait_registered(self, timeout: float | None = None) -> int:
        """Wait until the driver has tried to register; return its errno, 0 on success."""
        service = self._service
        self._transport.wait_until(
            lambda: service.registered is not None,
            timeout,
            lambda: "the driver's registration" if service.session else "the guest's HELLO",
        )
        assert service.registered is not None
        return service.registered

    def wait_requests(self, n: int, timeout: float | None = None) -> None:
        """Wait until the guest has sent ``n`` requests in all."""
        self._transport.wait_until(
            lambda: self.requests >= n, timeout, lambda: f"request {n} ({self.requests} arrived)"
        )

    def wait_cancelled(self, n: int = 1, timeout: float | None = None) -> None:
        """Wait until the guest has cancelled ``n`` requests in all."""
        self._transport.wait_until(
            lambda: self.cancelled >= n,
            timeout,
            lambda: f"cancellation {n} ({self.cancelled} arrived)",
        )

    # What happens next.

    def hold(self) -> Gate:
        """Hold requests from now until the end of the returned gate's context."""
        return Gate(self._service, self._transport)

    def fail_next(self, errno: int, times: int = 1) -> None:
        """Make the guest's ``report_new`` return ``-errno`` for the next requests."""
        self.faults.fail(errno, times)

    def fault(self, name: str | Fault, /, **params: Any) -> FaultQueue:  # noqa: ANN401 - its own
        """Queue a fault, by name or as a ``Fault``, for the next request without one.

        A name is a row of the provider's fault table (``provider.faults``) or a fault that every
        provider has (``COMMON_FAULTS``).
        """
        if isinstance(name, Fault):
            return self.faults.add(name)
        return self.faults.add_named(name, **params)

    @property
    def hardware_time(self) -> float:
        """How many seconds one second of real hardware lasts here (default 1)."""
        return self._service.hardware_time

    @hardware_time.setter
    def hardware_time(self, factor: float) -> None:
        if not 0 <= factor <= 1000:
            raise ProviderError(f"a second of hardware lasts 0 to 1000 seconds, not {factor}")
        self._service.hardware_time = factor

    def registers(self) -> tuple[bytes, ...]:
        """Return the runtime measurement registers."""
        return self._transport.call(self.provider.registers)

    def extend(self, register: int, data: bytes) -> None:
        """Extend a runtime measurement register, as software in the guest would."""
        self._transport.call(lambda: self.provider.extend(register, data))

    def reconfigure(self, **changes: object) -> None:
        """Change the provider's options between two reports."""
        self._transport.call(lambda: self.provider.reconfigure(**changes))

    def complete(self) -> None:
        """Have the host finish the request that the driver stopped waiting for."""
        self._transport.call(self.provider.complete)

    def reset(self) -> None:
        """Tell the guest to drop all requests, to send HELLO and to register again."""
        self._forget_registration()
        self._transport.post(self._service.send_reset)

    def going_away(self, *, keep_requests: bool = False) -> None:
        """Tell the guest that the provider goes away: it fails requests in flight and unregisters.

        With ``keep_requests``, requests in flight wait for their answers, and unregistration
        waits for the requests.
        """
        self._forget_registration()
        self._transport.post(lambda: self._service.send_going_away(keep_requests))

    def _forget_registration(self) -> None:
        with self._transport.update():
            self._service.registered = None

    # State.

    def get_state(self) -> State:
        """Return the provider's state, queued faults, ``hardware_time`` and the session.

        Raises ProviderError while requests are in flight: the state cannot hold their answers.
        """
        return self._transport.call(self._state)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what ``get_state`` returned, but stay in the current session.

        Raises ProviderError when ``state`` is malformed.
        """
        self._transport.call(lambda: self._restore(state))

    def _state(self) -> State:
        if self._service.in_flight:
            raise ProviderError(f"{self.in_flight} request(s) are in flight: let them end first")
        return {
            "provider": self.provider.get_state(),
            "faults": self.faults.get_state(),
            "hardware_time": self.hardware_time,
            "session": self._service.session_state(),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        match dict(state):
            case {
                "provider": dict(provider),
                "faults": list(faults),
                "hardware_time": int() | float() as factor,
                "session": dict(),
            }:
                self.provider.set_state(provider)
                self.faults.set_state(faults)
                self.hardware_time = float(factor)
            case _:
                raise ProviderError(
                    "the state of a provider loop has provider, faults, hardware_time and session;"
                    f" this one has {', '.join(map(str, state)) or 'nothing'}"
                )
