# SPDX-License-Identifier: MIT
"""The protocol behind the provider port: sessions, requests, answers. One thread's business."""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from time import monotonic
from typing import ClassVar, Literal

from providers_sim.errors import ProviderRefusal, WireError
from providers_sim.faults import NO_FAULT, Fault, FaultQueue
from providers_sim.gate import Gate, Waiter
from providers_sim.port import Port
from providers_sim.provider import Provider
from providers_sim.reply import reply_bytes, shape
from providers_sim.transcript import BoundedLog, Entry, IssuedReport, Transcript
from providers_sim.wire.constants import (
    MAX_IN_FLIGHT,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    FrameType,
    Status,
)
from providers_sim.wire.frame import Frame, encode_frame
from providers_sim.wire.hello import (
    GuestHello,
    HostHello,
    decode_guest_hello,
    encode_host_hello,
)
from providers_sim.wire.report import (
    Evidence,
    ReportRequest,
    UnknownTlvError,
    decode_report_request,
    decode_u32,
)

__all__ = ["Pending", "Service"]

_ISSUED_BYTES = 64 << 20
_ISSUED_OVERHEAD = 1024


@dataclass(slots=True, eq=False)
class Pending:
    """A request between its arrival and its answer."""

    request: ReportRequest
    session: int
    fault: Fault
    cancelled: bool = False
    since: float = field(default_factory=monotonic)


class Service:
    """Handles one guest's frames; counters and ``in_flight`` change under the waiter's lock."""

    def __init__(
        self,
        provider: Provider,
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
        self._time_scale = time_scale
        self._request_timeout_ms = request_timeout_ms
        self._max_payload = MAX_PAYLOAD
        self._damage = (0, 0, 0)
        self._timers: list[tuple[float, int, Pending]] = []
        self._timer_order = count()
        self.session = 0
        self.registered: int | None = None
        self.requests = 0
        self.cancelled = 0
        self.max_in_flight_seen = 0
        self.longest_answer_s = 0.0
        self.in_flight: dict[int, Pending] = {}
        self.gate: Gate | None = None
        self.error: Exception | None = None
        self.transcript = Transcript()
        self.issued: BoundedLog[IssuedReport] = BoundedLog(_ISSUED_BYTES, _weigh)

    def dispatch(self, frame: Frame) -> None:
        """Handle one frame from the guest; a bad one is noted, never fatal."""
        handler = self._handlers.get(frame.type)
        is_hello = frame.type == FrameType.HELLO
        if handler is None:
            self._saw(frame, "unknown type, ignored")
        elif frame.session != (0 if is_hello else self.session) or not (is_hello or self.session):
            self._saw(frame, "stale session, ignored")
        else:
            try:
                handler(self, frame)
            except WireError as error:
                self._saw(frame, f"bad message: {error}")
                if frame.type == FrameType.REPORT:
                    unknown = isinstance(error, UnknownTlvError)
                    self._refuse(frame.id, Status.UNSUPPORTED if unknown else Status.BAD_MESSAGE)

    def proceed(self, pending: Pending) -> None:
        """Answer a request that nothing holds any more, now or when its fault says."""
        self.longest_answer_s = max(self.longest_answer_s, monotonic() - pending.since)
        if pending.fault.late and not pending.cancelled:
            self._note(f"request {pending.request.id} waits for its cancellation")
        elif pending.fault.delay:
            due = monotonic() + pending.fault.delay * self._time_scale
            heapq.heappush(self._timers, (due, next(self._timer_order), pending))
        else:
            self._answer(pending)

    def seconds_to_timer(self) -> float | None:
        """Return how long nothing is due, None for ever."""
        return max(0.0, self._timers[0][0] - monotonic()) if self._timers else None

    def fire_timers(self) -> None:
        """Answer the requests whose delay is over."""
        while self._timers and self._timers[0][0] <= monotonic():
            self._answer(heapq.heappop(self._timers)[2])

    def note_damage(self) -> None:
        """Put into the transcript that the parser met damaged bytes since the last call."""
        parser = self._port.parser
        damage = (parser.resyncs, parser.crc_errors, parser.oversize)
        if damage != self._damage:
            self._damage = damage
            self._note("damaged bytes: resyncs={} crc_errors={} oversize={}".format(*damage))

    def send_reset(self) -> None:
        """Tell the guest to start over; what is in flight is dropped on both sides."""
        self._send(Frame(FrameType.RESET, session=self.session), "reset")
        self._drop_in_flight()

    def send_going_away(self) -> None:
        """Tell the guest that the provider goes; what is in flight is dropped on both sides."""
        self._send(Frame(FrameType.GOING_AWAY, session=self.session), "going away")
        self._drop_in_flight()

    def _on_hello(self, frame: Frame) -> None:
        guest = decode_guest_hello(frame.payload)
        self._saw(frame, f"nonce={guest.nonce:#x} api={guest.api} max_total={guest.max_total}")
        supported = guest.version_min <= VERSION <= guest.version_max
        self._drop_in_flight()
        with self._waiter.condition:
            self.session = secrets.randbelow(0xFFFF_FFFF) + 1 if supported else 0
            self.registered = None  # the driver tells anew after every HELLO
        self._max_payload = min(MAX_PAYLOAD, guest.max_payload)
        status = Status.OK if supported else Status.UNSUPPORTED
        payload = encode_host_hello(self._host_hello(guest))
        reply = Frame(FrameType.HELLO | REPLY, 0, self.session, frame.id, status, payload)
        self._send(reply, f"{self._provider.id} as {self._provider.kernel_name}")

    def _host_hello(self, guest: GuestHello) -> HostHello:
        provider = self._provider
        return HostHello(
            nonce=guest.nonce,
            name=provider.kernel_name,
            privlevel_floor=provider.privlevel_floor,
            attrs=provider.attrs,
            bin_attrs=provider.bin_attrs,
            max_in_flight=MAX_IN_FLIGHT,
            timeout_ms=self._request_timeout_ms,
        )

    def _on_ping(self, frame: Frame) -> None:
        self._saw(frame, "")
        self._send(frame._replace(type=FrameType.PING | REPLY, flags=0, status=0), "")

    def _on_registered(self, frame: Frame) -> None:
        errno = decode_u32("REGISTERED", frame.payload)
        self._saw(frame, f"errno={errno}")
        with self._waiter.condition:
            self.registered = errno
            self._waiter.condition.notify_all()

    def _on_report(self, frame: Frame) -> None:
        request = decode_report_request(frame.id, frame.payload)
        if frame.id == 0 or frame.id in self.in_flight:
            self._saw(frame, "id 0 or already in flight, ignored")
            return
        if len(self.in_flight) >= MAX_IN_FLIGHT:
            self._saw(frame, "too many in flight")
            self._refuse(frame.id, Status.BUSY)
            return
        pending = Pending(request, self.session, self._faults.take())
        self._saw(
            frame,
            f"privlevel={request.privlevel} inblob={request.inblob.hex()}",
            pending.fault.summary(),
        )
        with self._waiter.condition:
            self.requests += 1
            self.in_flight[frame.id] = pending
            self.max_in_flight_seen = max(self.max_in_flight_seen, len(self.in_flight))
            gate = self.gate
            self._waiter.condition.notify_all()
        if gate is None or not gate.take(pending):
            self.proceed(pending)

    def _on_cancel(self, frame: Frame) -> None:
        ident = decode_u32("CANCEL", frame.payload)
        pending = self.in_flight.get(ident)
        self._saw(frame, f"request {ident}" + ("" if pending else " is not in flight"))
        if pending is None:
            return
        pending.cancelled = True
        if self.gate is not None:
            self.gate.forget(pending)
        with self._waiter.condition:
            del self.in_flight[ident]
            self.cancelled += 1
            self._waiter.condition.notify_all()
        if pending.fault.late:
            self.proceed(pending)

    _handlers: ClassVar[dict[int, Callable[[Service, Frame], None]]] = {
        FrameType.HELLO: _on_hello,
        FrameType.PING: _on_ping,
        FrameType.REGISTERED: _on_registered,
        FrameType.REPORT: _on_report,
        FrameType.CANCEL: _on_cancel,
    }

    def _answer(self, pending: Pending) -> None:
        request, fault = pending.request, pending.fault
        wanted = fault.late or self.in_flight.get(request.id) is pending
        if pending.session != self.session or not wanted:
            self._note(f"request {request.id} is gone, not answered")
            return
        if fault.silent:
            self._note(f"request {request.id} is left without an answer")
            return
        if fault.inject is not None:
            self._refuse(request.id, Status.INJECT, fault.inject, fault)
        elif fault.status is not None:
            self._refuse(request.id, fault.status, fault.retry_ms, fault)
        else:
            self._report(request, fault)
        if self.in_flight.get(request.id) is pending:
            with self._waiter.condition:
                del self.in_flight[request.id]
                self._waiter.condition.notify_all()

    def _report(self, request: ReportRequest, fault: Fault) -> None:
        try:
            evidence = shape(self._provider.report(request), fault)
        except ProviderRefusal as refusal:
            self._refuse(request.id, refusal.status, refusal.retry_ms, fault, refusal.reason)
            return
        except Exception as error:  # a broken provider is our fault: said to the guest and kept
            self.error = self.error or error
            self._refuse(request.id, Status.INTERNAL, 0, fault, f"provider broke: {error!r}")
            return
        if not fault.delivers_nothing:
            # Before the first byte leaves: what a reader has was always issued.
            self.issued.append(IssuedReport(request, evidence, monotonic()))
        for _ in range(1 + fault.duplicate):
            self._port.send_bulk(
                reply_bytes(self.session, request.id, evidence, fault, self._max_payload)
            )
            self._record(
                "host>guest",
                Frame(FrameType.REPORT | REPLY, 0, self.session, request.id),
                _blob_size(evidence),
                f"sha256={sha256(evidence.outblob).hexdigest()} out={len(evidence.outblob)}"
                f" aux={len(evidence.auxblob)} manifest={len(evidence.manifestblob)}",
                fault.summary(),
            )

    def _refuse(
        self,
        ident: int,
        status: Status,
        value: int = 0,
        fault: Fault = NO_FAULT,
        reason: str = "",
    ) -> None:
        """Answer with a status; ``value`` goes with INJECT (signed) and THROTTLED."""
        payload = b""
        if status in (Status.INJECT, Status.THROTTLED):
            payload = (value & 0xFFFF_FFFF).to_bytes(4, "little")
            reason = reason or f"value={value}"
        reply = Frame(FrameType.REPORT | REPLY, 0, self.session, ident, status, payload)
        for _ in range(1 + fault.duplicate):
            self._send(reply, reason, fault.summary())

    def _drop_in_flight(self) -> None:
        for pending in self.in_flight.values():
            if self.gate is not None:
                self.gate.forget(pending)
        self._timers.clear()
        self._port.drop_bulk()
        with self._waiter.condition:
            self.in_flight.clear()
            self._waiter.condition.notify_all()

    def _send(self, frame: Frame, summary: str, fault: str = "") -> None:
        self._port.send(encode_frame(frame))
        self._record("host>guest", frame, len(frame.payload), summary, fault)

    def _saw(self, frame: Frame, summary: str, fault: str = "") -> None:
        self._record("guest>host", frame, len(frame.payload), summary, fault)

    def _note(self, summary: str) -> None:
        self.transcript.append(Entry(monotonic(), "host", "NOTE", 0, self.session, "", 0, summary))

    def _record(
        self,
        direction: Literal["guest>host", "host>guest"],
        frame: Frame,
        size: int,
        summary: str,
        fault: str,
    ) -> None:
        self.transcript.append(
            Entry(
                monotonic(),
                direction,
                _TYPE_NAMES.get(frame.type, f"{frame.type:#x}"),
                frame.id,
                frame.session,
                _STATUS_NAMES.get(frame.status, str(frame.status)),
                size,
                summary,
                fault,
            )
        )


_STATUS_NAMES = {int(status): status.name for status in Status}
_TYPE_NAMES = {int(kind): kind.name for kind in FrameType} | {
    kind | REPLY: f"{kind.name}_REPLY" for kind in FrameType
}


def _blob_size(evidence: Evidence) -> int:
    return len(evidence.outblob) + len(evidence.auxblob) + len(evidence.manifestblob)


def _weigh(issued: IssuedReport) -> int:
    return _blob_size(issued.evidence) + _ISSUED_OVERHEAD
