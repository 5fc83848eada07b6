# SPDX-License-Identifier: MIT
"""The provider port's protocol: sessions, requests in flight, and their answers."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from time import monotonic
from typing import Any, ClassVar

from providers_sim.effect import no_effect_on_evidence, no_effect_on_refusal
from providers_sim.errors import ProviderRefusal
from providers_sim.fault_queue import FaultQueue
from providers_sim.fault_table import Answer
from providers_sim.faults import NO_FAULT, Fault
from providers_sim.provider import AnyProvider, State
from providers_sim.reply import apply_fault, refusal_frame, reply_bytes
from providers_sim.transcript import BoundedLog, IssuedReport, Transcript
from providers_sim.transport import Transport
from tsmw.constants import (
    AWAY_KEEP,
    MAX_IN_FLIGHT,
    MAX_PAYLOAD,
    REPLY,
    VERSION,
    FrameType,
    Status,
)
from tsmw.errors import UnknownTlvError, WireError
from tsmw.frame import Frame, encode_frame
from tsmw.hello import GuestHello, HostHello, decode_guest_hello, encode_host_hello
from tsmw.layout import decode_u32, encode_u32
from tsmw.report import Evidence, ReportRequest, decode_report_request

__all__ = ["Pending", "Service"]

_ISSUED_BYTES = 64 << 20
_ISSUED_OVERHEAD = 1024


@dataclass(slots=True, eq=False)
class Pending:
    """A request between its arrival and its answer.

    ``given_up``: the guest no longer waits for it, because of a CANCEL (``cancelled``), a new
    HELLO or the provider's GOING_AWAY. ``held``: a gate holds it.
    """

    request: ReportRequest
    session: int
    fault: Fault
    held: bool = False
    given_up: bool = False
    cancelled: bool = False
    since: float = field(default_factory=monotonic)


class Service:
    """Answers one guest's frames with ``provider``'s evidence and the queued ``faults``.

    Methods run in the transport's thread. Other threads read the public attributes, which change
    inside ``transport.update()``, and may set ``gate``, ``registered`` and ``hardware_time``.
    """

    def __init__(
        self,
        provider: AnyProvider,
        transport: Transport,
        faults: FaultQueue,
        *,
        time_scale: float = 1.0,
        request_timeout_ms: int | None = None,
    ) -> None:
        self._provider = provider
        self._transport = transport
        self._faults = faults
        self._time_scale = time_scale
        self._request_timeout_ms = request_timeout_ms
        self._max_payload = MAX_PAYLOAD
        self._damage = (0, 0, 0)
        self._swap_partner: Pending | None = None
        self._longest_answer_s = 0.0
        self.session = 0
        """The session that the last HELLO opened; 0 before it."""
        self.driver: GuestHello | None = None
        """The driver's last HELLO; None before it."""
        self.registered: int | None = None
        """The errno of the driver's registration in this session; None before it."""
        self.requests = 0
        self.cancelled = 0
        self.in_flight: dict[int, Pending] = {}
        self.max_in_flight_seen = 0
        self.gate: list[Pending] | None = None
        """Where a gate collects the requests it holds; None without a gate."""
        self.hardware_time = 1.0
        self.transcript = Transcript()
        self.issued: BoundedLog[IssuedReport] = BoundedLog(_ISSUED_BYTES, _issued_size)
        self.ineffective: list[str] = []
        """A sentence for each fault that a request has used and that changed nothing."""
        self.error: Exception | None = None
        """The first exception of the provider that was no refusal."""

    def longest_answer_s(self) -> float:
        """Return the longest time a request waited for the provider, in seconds (any thread)."""
        with self._transport.changed:
            waiting = [monotonic() - pending.since for pending in self.in_flight.values()]
        return max([self._longest_answer_s, *waiting])

    def receive(self, frames: list[Frame]) -> None:
        """Handle the frames of one read, and note the damaged bytes between them."""
        for frame in frames:
            self.dispatch(frame)
        parser = self._transport.parser
        damage = (parser.resyncs, parser.crc_errors, parser.oversize)
        if damage != self._damage:
            self._damage = damage
            self._note("damaged bytes: resyncs={} crc_errors={} oversize={}".format(*damage))

    def dispatch(self, frame: Frame) -> None:
        """Handle one frame from the guest; record a malformed one, refuse a malformed REPORT."""
        codec = self._handlers.get(frame.type)
        is_hello = frame.type == FrameType.HELLO
        if codec is None:
            self.transcript.received(frame, "unknown type, ignored")
        elif frame.session != (0 if is_hello else self.session) or not (is_hello or self.session):
            self.transcript.received(frame, "stale session, ignored")
        else:
            decode, handle = codec
            try:
                message = decode(frame)
            except WireError as error:
                self._reject(frame, error)
            else:
                handle(self, frame, message)

    def _reject(self, frame: Frame, error: WireError) -> None:
        self.transcript.received(frame, f"bad message: {error}")
        if frame.type == FrameType.REPORT:
            unknown = isinstance(error, UnknownTlvError)
            status = Status.UNSUPPORTED if unknown else Status.BAD_MESSAGE
            self._refuse(frame.id, ProviderRefusal(status, ""))

    # The session.

    def session_state(self) -> State:
        """Return what HELLO agreed on, and whether the driver is registered."""
        return {
            "id": self.session,
            "max_payload": self._max_payload,
            "registered": self.registered,
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue the session of another service; KeyError when ``state`` is incomplete."""
        self.session = state["id"]
        self._max_payload = state["max_payload"]
        self.registered = state["registered"]

    def send_reset(self) -> None:
        """Tell the guest to drop every request and to send HELLO."""
        self._send(Frame(FrameType.RESET, session=self.session), "")

    def send_going_away(self, keep: bool = False) -> None:
        """Tell the guest that the provider goes away.

        The guest then fails the requests in flight; with ``keep`` they wait for their answers.
        """
        payload = encode_u32("GOING_AWAY", AWAY_KEEP) if keep else b""
        frame = Frame(FrameType.GOING_AWAY, session=self.session, payload=payload)
        self._send(frame, "going away, requests in flight stay" if keep else "going away")
        if not keep:
            self._drop_in_flight()

    def _on_hello(self, frame: Frame, guest: GuestHello) -> None:
        self.transcript.received(
            frame, f"nonce={guest.nonce:#x} api={guest.api} max_total={guest.max_total}"
        )
        supported = guest.version_min <= VERSION <= guest.version_max
        self._drop_in_flight()
        with self._transport.update():
            self.driver = guest
            self.session = secrets.randbelow(0xFFFF_FFFF) + 1 if supported else 0
            self.registered = None  # The driver reports its registration after every HELLO.
        self._max_payload = min(MAX_PAYLOAD, guest.max_payload)
        provider = self._provider
        hello = HostHello(
            nonce=guest.nonce,
            name=provider.name,
            privlevel_floor=provider.privlevel_floor,
            attrs=provider.attrs,
            bin_attrs=provider.bin_attrs,
            max_in_flight=MAX_IN_FLIGHT,
            timeout_ms=self._request_timeout_ms,
        )
        status = Status.OK if supported else Status.UNSUPPORTED
        payload = encode_host_hello(hello)
        reply = Frame(FrameType.HELLO | REPLY, 0, self.session, frame.id, status, payload)
        self._send(reply, f"{provider.id} as {provider.name}")

    def _on_ping(self, frame: Frame, _: None) -> None:
        self.transcript.received(frame, "")
        self._send(frame._replace(type=FrameType.PING | REPLY, flags=0, status=0), "")

    def _on_registered(self, frame: Frame, errno: int) -> None:
        self.transcript.received(frame, f"errno={errno}")
        with self._transport.update():
            self.registered = errno

    def _drop_in_flight(self) -> None:
        self._transport.drop_bulk()
        with self._transport.update():
            for pending in self.in_flight.values():
                pending.given_up = True
            self.in_flight.clear()

    # A request, from its arrival to its answer.

    def _on_report(self, frame: Frame, request: ReportRequest) -> None:
        if frame.id == 0 or frame.id in self.in_flight:
            self.transcript.received(frame, "id 0 or already in flight, ignored")
            return
        if len(self.in_flight) >= MAX_IN_FLIGHT:
            self.transcript.received(frame, "too many requests in flight")
            self._refuse(frame.id, ProviderRefusal(Status.BUSY, ""))
            return
        try:
            self._provider.admit(request)
        except ProviderRefusal as refusal:
            self.transcript.received(frame, "refused by the driver after an earlier failure")
            with self._transport.update():
                self.requests += 1
            self._refuse(frame.id, refusal)
            return
        pending = Pending(request, self.session, self._faults.take())
        self.transcript.received(
            frame,
            f"privlevel={request.privlevel} inblob={request.inblob.hex()}",
            pending.fault.summary(),
        )
        with self._transport.update():
            self.requests += 1
            self.in_flight[frame.id] = pending
            self.max_in_flight_seen = max(self.max_in_flight_seen, len(self.in_flight))
            gate = self.gate
            if gate is not None:
                gate.append(pending)
                pending.held = True
        if gate is None:  # Otherwise release() may already have cleared ``held``.
            self.proceed(pending)

    def _on_cancel(self, frame: Frame, ident: int) -> None:
        pending = self.in_flight.get(ident)
        self.transcript.received(frame, f"request {ident}" + ("" if pending else " not in flight"))
        if pending is None:
            return
        with self._transport.update():
            del self.in_flight[ident]
            self.cancelled += 1
            pending.cancelled = pending.given_up = True
            if pending.fault.late:
                pending.held = False
        self._provider.abandon()
        if pending.fault.late:
            self.proceed(pending)

    _handlers: ClassVar[
        dict[int, tuple[Callable[[Frame], Any], Callable[[Service, Frame, Any], None]]]
    ] = {
        FrameType.HELLO: (lambda frame: decode_guest_hello(frame.payload), _on_hello),
        FrameType.PING: (lambda _: None, _on_ping),
        FrameType.REGISTERED: (
            lambda frame: decode_u32("REGISTERED", frame.payload),
            _on_registered,
        ),
        FrameType.REPORT: (
            lambda frame: decode_report_request(frame.id, frame.payload),
            _on_report,
        ),
        FrameType.CANCEL: (lambda frame: decode_u32("CANCEL", frame.payload), _on_cancel),
    }

    def proceed(self, *requests: Pending) -> None:
        """Answer requests that no gate holds any more, now or after their delay."""
        for pending in requests:
            self._longest_answer_s = max(self._longest_answer_s, monotonic() - pending.since)
            if pending.fault.late and not pending.cancelled:
                self._note(f"request {pending.request.id} waits for its cancellation")
            elif self._unwanted(pending):
                self._finish_unwanted(pending)
            else:
                self._answer_or_swap(pending)

    def _answer_or_swap(self, pending: Pending) -> None:
        partner = self._swap_partner
        if partner is not None and not self._unwanted(partner):
            self._swap_partner = None
            answer, partners_answer = self._answer(pending), self._answer(partner)
            self._schedule(pending, partners_answer)
            self._schedule(partner, answer)
        elif pending.fault.swapped:
            self._swap_partner = pending
            self._note(f"request {pending.request.id} waits for another to swap answers with")
        else:
            self._schedule(pending, self._answer(pending))

    def _unwanted(self, pending: Pending) -> bool:
        given_up = pending.given_up and not pending.fault.late
        return given_up or pending.session != self.session

    def _finish_unwanted(self, pending: Pending) -> None:
        self._note(f"request {pending.request.id} was given up by the guest, not answered")
        if pending.cancelled:
            self._provider.complete()

    def _answer(self, pending: Pending) -> Answer:
        """Return the answer that the request's fault dictates, or else the provider's."""
        request, fault = pending.request, pending.fault
        if fault.inject is not None:
            return Answer(refusal=ProviderRefusal(Status.INJECT, "", value=fault.inject))
        if fault.status is not None:
            return Answer(refusal=ProviderRefusal(fault.status, "", value=fault.retry_ms))
        if fault.silent or fault.vanish:
            return Answer()
        if fault.wrong_inblob:
            request = replace(request, inblob=bytes(byte ^ 0xFF for byte in request.inblob))
        try:
            return self._provider.answer(request, fault.provider_fault, dict(fault.params))
        except Exception as error:  # The guest must not wait for a provider that broke.
            self.error = self.error or error
            return Answer(refusal=ProviderRefusal(Status.INTERNAL, f"provider broke: {error!r}"))

    def _schedule(self, pending: Pending, answer: Answer) -> None:
        delay = pending.fault.delay * self._time_scale + answer.after_s * self.hardware_time
        if delay > 0:
            self._transport.after(delay, lambda: self._deliver(pending, answer))
        else:
            self._deliver(pending, answer)

    def _deliver(self, pending: Pending, answer: Answer) -> None:
        if self._unwanted(pending):
            self._finish_unwanted(pending)
            return
        request, fault = pending.request, pending.fault
        if fault.silent:
            self._note(f"request {request.id} is left without an answer")
            return
        if fault.vanish:
            self.send_going_away()
            return
        if answer.refusal is not None:
            self._refuse(request.id, answer.refusal, fault)
            self._note_ineffective(pending, no_effect_on_refusal(fault, answer))
        elif answer.evidence is not None:
            sent = self._report(request, answer.evidence, _with_flags(fault, answer))
            self._note_ineffective(pending, no_effect_on_evidence(fault, answer, sent))
        if answer.then is not None:
            answer.then()
        if answer.done_s is not None and answer.after_s < answer.done_s < math.inf:
            later = (answer.done_s - answer.after_s) * self.hardware_time
            self._transport.after(later, self._provider.complete)
        if pending.cancelled:
            self._provider.complete()
        if self.in_flight.get(request.id) is pending:
            with self._transport.update():
                del self.in_flight[request.id]

    def _refuse(self, ident: int, refusal: ProviderRefusal, fault: Fault = NO_FAULT) -> None:
        reply = refusal_frame(self.session, ident, refusal)
        value = f"value={refusal.value} " if reply.payload else ""
        for _ in range(1 + fault.duplicate):
            self._send(reply, f"{value}{refusal.reason}".rstrip(), fault.summary())

    def _note_ineffective(self, pending: Pending, reason: str) -> None:
        if reason:
            fault = pending.fault.provider_fault or pending.fault.summary()
            text = f"the fault {fault} had no effect on request {pending.request.id}: {reason}"
            self._note(text)
            with self._transport.update():
                self.ineffective.append(text)

    def _report(self, request: ReportRequest, made: Evidence, fault: Fault) -> Evidence:
        evidence = apply_fault(made, fault)
        if fault.delivers_evidence:
            # Before the first byte leaves: what a guest can read is always in the log.
            self.issued.append(IssuedReport(request, evidence, monotonic()))
        out, aux, manifest = map(len, (evidence.outblob, evidence.auxblob, evidence.manifestblob))
        digest = sha256(evidence.outblob).hexdigest()
        for _ in range(1 + fault.duplicate):
            self._transport.send_bulk(
                reply_bytes(self.session, request.id, evidence, fault, self._max_payload)
            )
            self.transcript.sent(
                Frame(FrameType.REPORT | REPLY, 0, self.session, request.id),
                out + aux + manifest,
                f"sha256={digest} out={out} aux={aux} manifest={manifest}",
                fault.summary(),
            )
        return evidence

    def _send(self, frame: Frame, summary: str, fault: str = "") -> None:
        self._transport.send(encode_frame(frame))
        self.transcript.sent(frame, len(frame.payload), summary, fault)

    def _note(self, summary: str) -> None:
        self.transcript.note(self.session, summary)


def _with_flags(fault: Fault, answer: Answer) -> Fault:
    """The fault, with the ways in which the answer wants its blobs to be handed over."""
    if not (answer.keep_lengths or answer.vmalloc):
        return fault
    return replace(
        fault,
        keep_lengths=fault.keep_lengths or answer.keep_lengths,
        vmalloc=fault.vmalloc or answer.vmalloc,
    )


def _issued_size(issued: IssuedReport) -> int:
    blobs = (issued.evidence.outblob, issued.evidence.auxblob, issued.evidence.manifestblob)
    return sum(map(len, blobs)) + _ISSUED_OVERHEAD
