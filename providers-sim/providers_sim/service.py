# SPDX-License-Identifier: MIT
"""The protocol behind the provider port: sessions, requests, answers. One thread's business."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from providers_sim.desk import Desk, Pending
from providers_sim.errors import ProviderRefusal
from providers_sim.fault_queue import FaultQueue
from providers_sim.gate import Gate, Waiter
from providers_sim.port import Port
from providers_sim.provider import AnyProvider, State
from providers_sim.recorder import Recorder
from tsmw.constants import (
    AWAY_KEEP,
    MAX_IN_FLIGHT,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    FrameType,
    Status,
)
from tsmw.errors import WireError
from tsmw.frame import Frame, encode_frame
from tsmw.hello import (
    GuestHello,
    HostHello,
    decode_guest_hello,
    encode_host_hello,
)
from tsmw.report import UnknownTlvError, decode_report_request, decode_u32

__all__ = ["Service"]


class Service:
    """Handles one guest's frames; counters change under the waiter's lock."""

    def __init__(
        self,
        provider: AnyProvider,
        port: Port,
        waiter: Waiter,
        faults: FaultQueue,
        *,
        time_scale: float,
        request_timeout_ms: int | None,
    ) -> None:
        self._provider = provider
        self._port = port
        self._waiter = waiter
        self._faults = faults
        self._request_timeout_ms = request_timeout_ms
        self._damage = (0, 0, 0)
        self.recorder = Recorder()
        self.desk = Desk(provider, port, waiter, self.recorder, time_scale)
        self.desk.vanish = self.send_going_away
        self.registered: int | None = None
        self.requests = 0
        self.cancelled = 0
        self.max_in_flight_seen = 0
        self.gate: Gate | None = None

    def dispatch(self, frame: Frame) -> None:
        """Handle one frame from the guest; a bad one is noted, never fatal."""
        handler = self._handlers.get(frame.type)
        session = self.desk.session
        is_hello = frame.type == FrameType.HELLO
        if handler is None:
            self.recorder.saw(frame, "unknown type, ignored")
        elif frame.session != (0 if is_hello else session) or not (is_hello or session):
            self.recorder.saw(frame, "stale session, ignored")
        else:
            try:
                handler(self, frame)
            except WireError as error:
                self.recorder.saw(frame, f"bad message: {error}")
                if frame.type == FrameType.REPORT:
                    unknown = isinstance(error, UnknownTlvError)
                    self._refuse(frame.id, Status.UNSUPPORTED if unknown else Status.BAD_MESSAGE)

    def session_state(self) -> State:
        """Return what HELLO agreed on, and whether the driver is registered."""
        return {
            "id": self.desk.session,
            "max_payload": self.desk.max_payload,
            "registered": self.registered,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on with another service's session; KeyError when it is not whole."""
        self.desk.session = state["id"]
        self.desk.max_payload = state["max_payload"]
        self.registered = state["registered"]

    def note_damage(self) -> None:
        """Put into the transcript that the parser met damaged bytes since the last call."""
        parser = self._port.parser
        damage = (parser.resyncs, parser.crc_errors, parser.oversize)
        if damage != self._damage:
            self._damage = damage
            self.recorder.note(
                self.desk.session,
                "damaged bytes: resyncs={} crc_errors={} oversize={}".format(*damage),
            )

    def send_reset(self) -> None:
        """Tell the guest to start over; what is in flight is dropped on both sides."""
        self._send(Frame(FrameType.RESET, session=self.desk.session), "reset")
        self._drop_in_flight()

    def send_going_away(self, keep: bool = False) -> None:
        """Tell the guest that the provider goes.

        What is in flight is dropped on both sides, unless ``keep`` leaves it to be answered, so
        that unregistration meets a report that is still being made.
        """
        payload = AWAY_KEEP.to_bytes(4, "little") if keep else b""
        frame = Frame(FrameType.GOING_AWAY, session=self.desk.session, payload=payload)
        self._send(frame, "going away, what is in flight stays" if keep else "going away")
        if not keep:
            self._drop_in_flight()

    def _on_hello(self, frame: Frame) -> None:
        guest = decode_guest_hello(frame.payload)
        self.recorder.saw(
            frame, f"nonce={guest.nonce:#x} api={guest.api} max_total={guest.max_total}"
        )
        supported = guest.version_min <= VERSION <= guest.version_max
        self._drop_in_flight()
        with self._waiter.condition:
            self.desk.session = secrets.randbelow(0xFFFF_FFFF) + 1 if supported else 0
            self.registered = None  # the driver tells anew after every HELLO
        self.desk.max_payload = min(MAX_PAYLOAD, guest.max_payload)
        status = Status.OK if supported else Status.UNSUPPORTED
        payload = encode_host_hello(self._host_hello(guest))
        reply = Frame(FrameType.HELLO | REPLY, 0, self.desk.session, frame.id, status, payload)
        self._send(reply, f"{self._provider.id} as {self._provider.name}")

    def _host_hello(self, guest: GuestHello) -> HostHello:
        provider = self._provider
        return HostHello(
            nonce=guest.nonce,
            name=provider.name,
            privlevel_floor=provider.privlevel_floor,
            attrs=provider.attrs,
            bin_attrs=provider.bin_attrs,
            max_in_flight=MAX_IN_FLIGHT,
            timeout_ms=self._request_timeout_ms,
        )

    def _on_ping(self, frame: Frame) -> None:
        self.recorder.saw(frame, "")
        self._send(frame._replace(type=FrameType.PING | REPLY, flags=0, status=0), "")

    def _on_registered(self, frame: Frame) -> None:
        errno = decode_u32("REGISTERED", frame.payload)
        self.recorder.saw(frame, f"errno={errno}")
        with self._waiter.condition:
            self.registered = errno
            self._waiter.condition.notify_all()

    def _on_report(self, frame: Frame) -> None:
        request = decode_report_request(frame.id, frame.payload)
        if frame.id == 0 or frame.id in self.desk.in_flight:
            self.recorder.saw(frame, "id 0 or already in flight, ignored")
            return
        if len(self.desk.in_flight) >= MAX_IN_FLIGHT:
            self.recorder.saw(frame, "too many in flight")
            self._refuse(frame.id, Status.BUSY)
            return
        try:
            self._provider.admit(request)
        except ProviderRefusal as refusal:
            self.recorder.saw(frame, "the driver does not even ask")
            self._count_request()
            self.desk.refuse(frame.id, refusal)
            return
        pending = Pending(request, self.desk.session, self._faults.take())
        self.recorder.saw(
            frame,
            f"privlevel={request.privlevel} inblob={request.inblob.hex()}",
            pending.fault.summary(),
        )
        with self._waiter.condition:
            self.desk.in_flight[frame.id] = pending
            self.max_in_flight_seen = max(self.max_in_flight_seen, len(self.desk.in_flight))
            gate = self.gate
            self._count_request()
        if gate is None or not gate.take(pending):
            self.desk.proceed(pending)

    def _count_request(self) -> None:
        with self._waiter.condition:
            self.requests += 1
            self._waiter.condition.notify_all()

    def _on_cancel(self, frame: Frame) -> None:
        ident = decode_u32("CANCEL", frame.payload)
        pending = self.desk.in_flight.get(ident)
        self.recorder.saw(frame, f"request {ident}" + ("" if pending else " is not in flight"))
        if pending is None:
            return
        pending.cancelled = True
        if self.gate is not None:
            self.gate.forget(pending)
        with self._waiter.condition:
            del self.desk.in_flight[ident]
            self.cancelled += 1
            self._waiter.condition.notify_all()
        self._provider.abandon()
        if pending.fault.late:
            self.desk.proceed(pending)

    _handlers: ClassVar[dict[int, Callable[[Service, Frame], None]]] = {
        FrameType.HELLO: _on_hello,
        FrameType.PING: _on_ping,
        FrameType.REGISTERED: _on_registered,
        FrameType.REPORT: _on_report,
        FrameType.CANCEL: _on_cancel,
    }

    def _refuse(self, ident: int, status: Status, reason: str = "") -> None:
        self.desk.refuse(ident, ProviderRefusal(status, reason))

    def _drop_in_flight(self) -> None:
        for pending in self.desk.in_flight.values():
            if self.gate is not None:
                self.gate.forget(pending)
        self.desk.drop_in_flight()

    def _send(self, frame: Frame, summary: str) -> None:
        self._port.send(encode_frame(frame))
        self.recorder.sent(frame, len(frame.payload), summary)
