# SPDX-License-Identifier: MIT
"""From a request to its answer: what the provider decides, when it is due, what is sent."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from time import monotonic

from providers_sim.errors import ProviderRefusal
from providers_sim.fault_table import Answer
from providers_sim.faults import NO_FAULT, Fault
from providers_sim.gate import Waiter
from providers_sim.port import Port
from providers_sim.provider import AnyProvider
from providers_sim.recorder import Recorder
from providers_sim.reply import reply_bytes, shape
from providers_sim.transcript import BoundedLog, IssuedReport
from tsmw.constants import MAX_PAYLOAD, REPLY, FrameType, Status
from tsmw.frame import Frame, encode_frame
from tsmw.report import Evidence, ReportRequest

__all__ = ["Desk", "Pending"]

_ISSUED_BYTES = 64 << 20
_ISSUED_OVERHEAD = 1024
_LONGEST_POLL_S = 3600.0


@dataclass(slots=True, eq=False)
class Pending:
    """A request between its arrival and its answer."""

    request: ReportRequest
    session: int
    fault: Fault
    cancelled: bool = False
    answered: bool = False
    since: float = field(default_factory=monotonic)


class Desk:
    """Answers requests; ``in_flight`` changes under the waiter's lock.

    ``session`` and ``max_payload`` are what HELLO agreed on. ``hardware_time`` is how many
    seconds one second of real hardware lasts.
    """

    def __init__(
        self,
        provider: AnyProvider,
        port: Port,
        waiter: Waiter,
        recorder: Recorder,
        time_scale: float,
    ) -> None:
        self._provider = provider
        self._port = port
        self._waiter = waiter
        self._recorder = recorder
        self._time_scale = time_scale
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timer_order = count()
        self._partner: Pending | None = None
        self.session = 0
        self.max_payload = MAX_PAYLOAD
        self.hardware_time = 1.0
        self.longest_answer_s = 0.0
        self.in_flight: dict[int, Pending] = {}
        self.error: Exception | None = None
        self.vanish: Callable[[], None] = lambda: None
        self.issued: BoundedLog[IssuedReport] = BoundedLog(_ISSUED_BYTES, _weigh)

    def proceed(self, pending: Pending) -> None:
        """Work on a request that nothing holds any more; its answer may be due later."""
        if pending.answered:  # late, and cancelled while a gate held it
            return
        self.longest_answer_s = max(self.longest_answer_s, monotonic() - pending.since)
        fault, partner = pending.fault, self._partner
        if fault.late and not pending.cancelled:
            self._note(f"request {pending.request.id} waits for its cancellation")
        elif self._gone(pending):
            self._finish_unwanted(pending)
        elif partner is not None and not self._gone(partner):
            self._partner = None
            mine, other = self._decide(pending), self._decide(partner)
            self._schedule(pending, other)
            self._schedule(partner, mine)
        elif fault.swapped:
            self._partner = pending
            self._note(f"request {pending.request.id} waits for another to swap answers with")
        else:
            self._schedule(pending, self._decide(pending))

    def seconds_to_timer(self) -> float | None:
        """Return how long nothing is due, None for ever."""
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0][0] - monotonic()), _LONGEST_POLL_S)

    def fire_timers(self) -> None:
        """Do what is due."""
        while self._timers and self._timers[0][0] <= monotonic():
            heapq.heappop(self._timers)[2]()

    def refuse(self, ident: int, refusal: ProviderRefusal, fault: Fault = NO_FAULT) -> None:
        """Answer request ``ident`` with a status."""
        status, reason, payload = refusal.status, refusal.reason, b""
        if status in (Status.INJECT, Status.THROTTLED):
            payload = (refusal.value & 0xFFFF_FFFF).to_bytes(4, "little")
            reason = f"value={refusal.value} {reason}".rstrip()
        reply = Frame(FrameType.REPORT | REPLY, 0, self.session, ident, status, payload)
        for _ in range(1 + fault.duplicate):
            self._port.send(encode_frame(reply))
            self._recorder.sent(reply, len(payload), reason, fault.summary())

    def drop_in_flight(self) -> None:
        """Forget every request: the guest has, too."""
        self._port.drop_bulk()
        with self._waiter.condition:
            self.in_flight.clear()
            self._waiter.condition.notify_all()

    def _gone(self, pending: Pending) -> bool:
        wanted = pending.fault.late or self.in_flight.get(pending.request.id) is pending
        return pending.session != self.session or not wanted

    def _finish_unwanted(self, pending: Pending) -> None:
        self._note(f"request {pending.request.id} is gone, not answered")
        if pending.cancelled:
            self._provider.complete()

    def _decide(self, pending: Pending) -> Answer:
        """Ask the provider, unless the fault says how the request ends."""
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
        except Exception as error:  # a broken provider is our fault: said to the guest and kept
            self.error = self.error or error
            return Answer(refusal=ProviderRefusal(Status.INTERNAL, f"provider broke: {error!r}"))

    def _schedule(self, pending: Pending, answer: Answer) -> None:
        delay = pending.fault.delay * self._time_scale + answer.after_s * self.hardware_time
        if delay > 0:
            self._at(delay, lambda: self._deliver(pending, answer))
        else:
            self._deliver(pending, answer)

    def _at(self, delay: float, work: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (monotonic() + delay, next(self._timer_order), work))

    def _deliver(self, pending: Pending, answer: Answer) -> None:
        if self._gone(pending):
            self._finish_unwanted(pending)
            return
        request, fault = pending.request, pending.fault
        pending.answered = True
        if fault.silent:
            self._note(f"request {request.id} is left without an answer")
            return
        if fault.vanish:
            self.vanish()
            return
        if answer.refusal is not None:
            self.refuse(request.id, answer.refusal, fault)
        elif answer.evidence is not None:
            self._report(request, answer, fault)
        self._consequences(answer)
        if pending.cancelled:
            self._provider.complete()
        if self.in_flight.get(request.id) is pending:
            with self._waiter.condition:
                del self.in_flight[request.id]
                self._waiter.condition.notify_all()

    def _consequences(self, answer: Answer) -> None:
        if answer.then is not None:
            answer.then()
        if answer.done_s is not None and answer.after_s < answer.done_s < math.inf:
            later = (answer.done_s - answer.after_s) * self.hardware_time
            self._at(later, self._provider.complete)

    def _report(self, request: ReportRequest, answer: Answer, fault: Fault) -> None:
        assert answer.evidence is not None
        told = replace(fault, keep_lengths=True) if answer.keep_lengths else fault
        evidence = shape(answer.evidence, told)
        if not fault.delivers_nothing:
            # Before the first byte leaves: what a reader has was always issued.
            self.issued.append(IssuedReport(request, evidence, monotonic()))
        for _ in range(1 + fault.duplicate):
            self._port.send_bulk(
                reply_bytes(self.session, request.id, evidence, told, self.max_payload)
            )
            self._recorder.sent(
                Frame(FrameType.REPORT | REPLY, 0, self.session, request.id),
                _blob_size(evidence),
                f"sha256={sha256(evidence.outblob).hexdigest()} out={len(evidence.outblob)}"
                f" aux={len(evidence.auxblob)} manifest={len(evidence.manifestblob)}",
                fault.summary(),
            )

    def _note(self, summary: str) -> None:
        self._recorder.note(self.session, summary)


def _blob_size(evidence: Evidence) -> int:
    return len(evidence.outblob) + len(evidence.auxblob) + len(evidence.manifestblob)


def _weigh(issued: IssuedReport) -> int:
    return _blob_size(issued.evidence) + _ISSUED_OVERHEAD
