# SPDX-License-Identifier: MIT
"""Faults of a host under the kernel's ``tdx-guest`` driver, by name.

Source of errno, durations and consequences: drivers/virt/coco/tdx-guest/tdx-guest.c of Linux
6.12 (``tdx_report_new``, ``wait_for_quote_completion``): the driver polls the quote's status
once a second, thirty times. Source of the host's side: Intel, Guest-Host Communication Interface,
section "GetQuote"; QEMU's client of the quote generation service also gives up after thirty
seconds.
"""

from __future__ import annotations

import errno
import math

from providers_sim.errors import ProviderError
from providers_sim.evidence.tdx.provider import Tdx
from providers_sim.fault_table import Answer, refuse
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["FAULTS"]

_POLLS = 30.0
_HYPERCALL = ("retry", "invalid-operand", "alignment")
_TDREPORT = {
    "operand-invalid": Status.NO_DEVICE,
    "operand-busy": Status.BUSY,
    "other": Status.IO,
}

FAULTS = Tdx.faults


def _failed(tdx: Tdx, request: ReportRequest, reason: str, *, after_s: float = 1.0) -> Answer:
    return refuse(tdx, request, Status.IO, reason, after_s=after_s)


@FAULTS.define("tdx-in-flight", "EIO after 30 s (ETIMEDOUT at exactly 30), then EBUSY until done")
def _in_flight(tdx: Tdx, request: ReportRequest, *, seconds: float = 45.0) -> Answer:
    """The quote takes ``seconds``, longer than the driver waits; 0: until it is completed."""
    if 0 < seconds < _POLLS:
        raise ProviderError("a quote that takes less than 30 s is the fault tdx-slow")
    if seconds == _POLLS:  # the driver's counter ends before it looks at the finished quote
        return refuse(tdx, request, Status.TIMEOUT, "done at the last poll", after_s=_POLLS)
    return refuse(
        tdx,
        request,
        Status.IO,
        "still in flight after 30 s",
        after_s=_POLLS,
        done_s=seconds or math.inf,
        then=tdx.abandon,
    )


@FAULTS.define("tdx-slow", "success, in whole seconds")
def _slow(tdx: Tdx, request: ReportRequest, *, seconds: float = 5.0) -> Answer:
    """The quoting enclave takes ``seconds``, less than the driver waits."""
    if not 0 <= seconds < _POLLS:
        raise ProviderError("a quote that takes 30 s or more is the fault tdx-in-flight")
    return Answer(evidence=tdx.report(request), after_s=math.ceil(seconds))


@FAULTS.define("tdx-error", "EIO")
def _error(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote's status is GET_QUOTE_ERROR (0x8000000000000000)."""
    return _failed(tdx, request, "status 0x8000000000000000")


@FAULTS.define("tdx-qgs-unavailable", "EIO")
def _qgs_unavailable(tdx: Tdx, request: ReportRequest) -> Answer:
    """The host has no quote generation service, or cannot reach it (0x8000000000000001)."""
    return _failed(tdx, request, "status 0x8000000000000001")


@FAULTS.define("tdx-qgs-timeout", "EIO, at the same moment as the driver's own timeout")
def _qgs_timeout(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote generation service does not answer: the VMM returns ERROR after 30 s."""
    return _failed(tdx, request, "the service did not answer in 30 s", after_s=_POLLS)


@FAULTS.define("tdx-qgs-eof", "EIO")
def _qgs_eof(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote generation service closes the connection during its answer."""
    return _failed(tdx, request, "the service closed the connection")


@FAULTS.define("tdx-qgs-version", "EIO")
def _qgs_version(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote generation service uses another version of its protocol."""
    return _failed(tdx, request, "the service uses another protocol version")


@FAULTS.define("tdx-qgs-type", "EIO")
def _qgs_type(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote generation service answers with a message of another type."""
    return _failed(tdx, request, "the service answered with another message type")


@FAULTS.define("tdx-qgs-size", "EIO")
def _qgs_size(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote generation service's answer does not have the size that it announces."""
    return _failed(tdx, request, "the service's answer has another size")


@FAULTS.define("tdx-hypercall", "EIO")
def _hypercall(tdx: Tdx, request: ReportRequest, *, reason: str = "retry") -> Answer:
    """The VMM refuses the request: retry (too many in flight), invalid-operand, alignment."""
    if reason not in _HYPERCALL:
        raise ProviderError(f"reason is one of {', '.join(_HYPERCALL)}; not {reason!r}")
    return _failed(tdx, request, f"hypercall refused: {reason}", after_s=0.0)


@FAULTS.define("tdx-empty", "success, and nothing to read")
def _empty(tdx: Tdx, request: ReportRequest) -> Answer:
    """The quote's length is 0."""
    tdx.check(request)
    return Answer(evidence=Evidence(b""))


@FAULTS.define("tdx-too-long", "EFBIG")
def _too_long(tdx: Tdx, request: ReportRequest) -> Answer:
    """The VMM announces a quote longer than the driver's buffer."""
    tdx.check(request)
    return Answer(evidence=tdx.deliver(bytes(tdx.options.buffer)))


@FAULTS.define("tdx-tdreport", "ENXIO, EBUSY or EIO, by code")
def _tdreport(tdx: Tdx, request: ReportRequest, *, code: str = "operand-busy") -> Answer:
    """The TDX module refuses the TDREPORT: operand-invalid, operand-busy or other."""
    if code not in _TDREPORT:
        raise ProviderError(f"code is one of {', '.join(_TDREPORT)}; not {code!r}")
    return refuse(tdx, request, _TDREPORT[code], f"TDREPORT: {code}")


@FAULTS.define("tdx-stale-quote", "success; a verifier refuses it")
def _stale_quote(tdx: Tdx, request: ReportRequest) -> Answer:
    """The VMM returns the previous quote again, or one over zeros when there is none."""
    tdx.check(request)
    return Answer(evidence=tdx.deliver(tdx.last_quote or tdx.quote(tdx.td_report(bytes(64)))))


@FAULTS.define("tdx-changed", "success; a verifier refuses it")
def _changed(tdx: Tdx, request: ReportRequest, *, offset: int = 600) -> Answer:
    """The VMM changes the byte at ``offset`` of the finished quote."""
    quote = bytearray(tdx.report(request).outblob)
    quote[offset % len(quote)] ^= 0xFF
    return Answer(evidence=tdx.deliver(bytes(quote)))


@FAULTS.define("tdx-interrupted", "EINTR, then EBUSY until done")
def _interrupted(tdx: Tdx, request: ReportRequest, *, seconds: float = 0.0) -> Answer:
    """A signal ends the wait; the quote stays in flight for ``seconds``, 0: until completed."""
    return refuse(
        tdx,
        request,
        Status.INJECT,
        "interrupted",
        value=-errno.EINTR,
        done_s=seconds or math.inf,
        then=tdx.abandon,
    )
