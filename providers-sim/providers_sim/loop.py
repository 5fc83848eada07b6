# SPDX-License-Identifier: MIT
"""The provider loop: answers one guest's provider port with one provider's evidence."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self, TypeVar

from providers_sim.desk import Pending
from providers_sim.errors import ProviderError
from providers_sim.fault_queue import FaultQueue
from providers_sim.faults import Fault
from providers_sim.gate import Gate, Holdable, Waiter
from providers_sim.port import Port, PortClosedError
from providers_sim.provider import AnyProvider, State
from providers_sim.service import Service
from providers_sim.transcript import IssuedReport, Transcript

__all__ = ["ProviderLoop"]

T = TypeVar("T")

_JOIN_SECONDS = 30.0


class ProviderLoop:
    """Serves ``provider`` on ``sock`` from a thread of its own until closed or the guest is gone.

    ``sock`` is a connected stream socket; the loop owns it and closes it when it ends, for
    whatever reason, so that a guest never waits for a host that is not there. ``time_scale``
    multiplies injected delays and the default timeouts of waits (30 s): above 1 on a slow host.
    ``request_timeout_ms`` tells the driver how long a request may take: 0 for ever, None the
    driver's default. ``anew`` is for a guest that had another host before, and may not notice that
    this one is new: the first it hears is to start over. ``resume`` is another loop's
    ``get_state``, whose session goes on here: the guest is a copy of that one's and must not
    notice.

    The methods are for other threads. Waits raise ProviderTimeout at their deadline and
    ProviderError when the loop has ended.
    """

    def __init__(
        self,
        provider: AnyProvider,
        sock: socket.socket,
        *,
        time_scale: float = 1.0,
        request_timeout_ms: int | None = None,
        anew: bool = False,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        self.provider = provider
        self.faults = FaultQueue(provider.faults)
        self._waiter = Waiter(time_scale)
        self._port = Port(sock)
        self._service = Service(
            provider,
            self._port,
            self._waiter,
            self.faults,
            time_scale=time_scale,
            request_timeout_ms=request_timeout_ms,
        )
        if anew:
            self._service.send_reset()
        if resume is not None:
            self._restore(resume)
            self._service.resume(resume["session"])
        self._commands: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._crash: BaseException | None = None
        self._thread = Thread(target=self._run, name=f"provider-{provider.id}", daemon=True)
        self._thread.start()

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
        self._stopping = True
        self._port.wake()
        self._thread.join(_JOIN_SECONDS)
        if self._thread.is_alive():
            raise ProviderError(f"provider {self.provider.id} did not stop: its report() hangs")

    @property
    def closed(self) -> bool:
        """Whether the loop has ended."""
        return bool(self._waiter.ended)

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
        return len(self._service.desk.in_flight)

    @property
    def max_in_flight_seen(self) -> int:
        """The largest value ``in_flight`` ever had."""
        return self._service.max_in_flight_seen

    @property
    def longest_answer_s(self) -> float:
        """How long a request was kept waiting at most, in seconds, those in flight included."""
        waiting = [
            monotonic() - pending.since for pending in [*self._service.desk.in_flight.values()]
        ]
        return max([self._service.desk.longest_answer_s, *waiting])

    @property
    def session(self) -> int:
        """The session in force; 0 before the guest's first HELLO."""
        return self._service.desk.session

    @property
    def transcript(self) -> Transcript:
        """Everything that crossed the port."""
        return self._service.recorder.transcript

    @property
    def issued(self) -> Sequence[IssuedReport]:
        """The evidence given out, oldest first; ``issued_dropped`` says how much is missing."""
        return self._service.desk.issued.items()

    @property
    def issued_dropped(self) -> int:
        """How many of the oldest issued reports were forgotten to bound memory."""
        return self._service.desk.issued.dropped

    @property
    def error(self) -> BaseException | None:
        """The first exception of the provider or the loop that was no refusal."""
        return self._crash or self._service.desk.error

    def raise_if_failed(self) -> None:
        """Raise ProviderError when the provider or the loop itself broke."""
        error = self.error
        if error is not None:
            raise ProviderError(f"provider {self.provider.id} broke: {error!r}") from error

    def wait_registered(self, timeout: float | None = None) -> int:
        """Wait until the driver has tried to register; return the errno it got, 0 on success."""
        service = self._service
        self._waiter.wait(
            lambda: service.registered is not None,
            timeout,
            lambda: "registration" if service.desk.session else "the guest's HELLO",
        )
        assert service.registered is not None
        return service.registered

    def wait_requests(self, n: int, timeout: float | None = None) -> None:
        """Wait until the guest has sent ``n`` requests in all."""
        service = self._service
        self._waiter.wait(
            lambda: service.requests >= n, timeout, lambda: f"request {n}, {service.requests} seen"
        )

    def wait_cancelled(self, n: int = 1, timeout: float | None = None) -> None:
        """Wait until the guest has cancelled ``n`` requests in all."""
        service = self._service
        self._waiter.wait(
            lambda: service.cancelled >= n,
            timeout,
            lambda: f"cancellation {n}, {service.cancelled} seen",
        )

    def hold(self) -> Gate:
        """Hold requests from now on; use it as a context, whose end releases all."""
        gate = Gate(self._waiter, self._let_go)
        with self._waiter.condition:
            if self._service.gate is not None and not self._service.gate.closed:
                raise ProviderError("requests are already held: leave that context first")
            self._service.gate = gate
        return gate

    def fail_next(self, errno: int, times: int = 1) -> None:
        """Make the guest's ``report_new`` return ``-errno`` for the next requests."""
        self.faults.fail(errno, times)

    def fault(self, name: str | Fault, /, **params: Any) -> FaultQueue:  # noqa: ANN401 - its own
        """Queue a fault for the next request without one: by name, or as it is.

        The name is a row of the provider's fault table (``provider.faults``) or a fault that every
        provider has (``COMMON_FAULTS``).
        """
        if isinstance(name, Fault):
            return self.faults.add(name)
        return self.faults.add_named(name, **params)

    @property
    def hardware_time(self) -> float:
        """How many seconds one second of real hardware lasts: 1 unless a scenario says less."""
        return self._service.desk.hardware_time

    @hardware_time.setter
    def hardware_time(self, factor: float) -> None:
        if not 0 <= factor <= 1000:
            raise ProviderError(f"a second of hardware lasts 0 to 1000 seconds, not {factor}")
        self._service.desk.hardware_time = factor

    def registers(self) -> tuple[bytes, ...]:
        """Return the runtime measurement registers."""
        return self._call(self.provider.registers)

    def extend(self, register: int, data: bytes) -> None:
        """Extend a runtime measurement register, as software in the guest would."""
        self._call(lambda: self.provider.extend(register, data))

    def reconfigure(self, **changes: object) -> None:
        """Change the provider's options between two reports, as its host may."""
        self._call(lambda: self.provider.reconfigure(**changes))

    def complete(self) -> None:
        """Have the host finish what the driver stopped waiting for."""
        self._call(self.provider.complete)

    def get_state(self) -> State:
        """Return the provider's state, waiting faults, the pace of hardware time, the session.

        Raises ProviderError while requests are in flight: their answers are not state.
        """
        return self._call(self._state)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``get_state`` gave, in the session there is.

        Raises ProviderError when it is something else.
        """
        self._call(lambda: self._restore(state))

    def _restore(self, state: Mapping[str, Any]) -> None:
        match dict(state):
            case {
                "provider": dict(provider),
                "faults": list(faults),
                "hardware_time": int() | float() as pace,
                "session": dict(),
            }:
                self.provider.set_state(provider)
                self.faults.set_state(faults)
                self.hardware_time = float(pace)
            case _:
                raise ProviderError("this is no state of a provider loop")

    def _state(self) -> State:
        if self._service.desk.in_flight:
            raise ProviderError(f"{self.in_flight} request(s) are in flight: let them end first")
        return {
            "provider": self.provider.get_state(),
            "faults": self.faults.get_state(),
            "hardware_time": self.hardware_time,
            "session": self._service.session_state(),
        }

    def reset(self) -> None:
        """Tell the guest to drop all requests and say HELLO anew; it registers anew, too."""
        with self._waiter.condition:
            self._service.registered = None
        self._post(self._service.send_reset)

    def going_away(self, *, keep_requests: bool = False) -> None:
        """Tell the guest that the provider goes: it fails what is in flight and unregisters.

        With ``keep_requests`` those in flight wait for their answers, and unregistration for them.
        """
        with self._waiter.condition:
            self._service.registered = None
        self._post(lambda: self._service.send_going_away(keep_requests))

    def _let_go(self, items: list[Holdable]) -> None:
        def proceed() -> None:
            for item in items:
                assert isinstance(item, Pending)
                self._service.desk.proceed(item)

        self._post(proceed)

    def _post(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        self._port.wake()

    def _call(self, work: Callable[[], T]) -> T:
        """Do ``work`` in the loop's thread, between two requests, and return what it returns."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
            with self._waiter.condition:
                self._waiter.condition.notify_all()

        self._post(run)
        self._waiter.wait(future.done, None, lambda: "a turn of the provider loop")
        return future.result()

    def _run(self) -> None:
        why = "the provider loop was closed"
        try:
            while not self._stopping:
                for frame in self._port.pump(self._service.desk.seconds_to_timer()):
                    self._service.dispatch(frame)
                self._service.note_damage()
                self._run_commands()
                self._service.desk.fire_timers()
            self._run_commands()  # those posted just before close(), such as going_away()
            self._port.flush()
        except PortClosedError as closed:
            why = f"the guest's side of the provider port closed ({closed})"
        except Exception as error:  # whatever it is, the guest must not be left waiting
            self._crash = error
            why = f"the provider loop broke: {error!r}"
        finally:
            self._port.close()
            self._waiter.end(why)

    def _run_commands(self) -> None:
        while self._commands:
            self._commands.popleft()()
