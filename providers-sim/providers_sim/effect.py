# SPDX-License-Identifier: MIT
"""Tells why a fault that a request has used changed nothing."""

from __future__ import annotations

from providers_sim.fault_table import Answer
from providers_sim.faults import NO_FAULT, Fault
from tsmw.report import Evidence

__all__ = ["no_effect_on_evidence", "no_effect_on_refusal"]

_BLOBS = ("empty", "oversize", "truncated", "padded", "flipped", "no_auxblob")
_EVIDENCE = (
    *_BLOBS,
    *("wrong_inblob", "keep_lengths", "no_outblob", "wrapped", "vmalloc", "corrupt"),
)


def no_effect_on_refusal(fault: Fault, answer: Answer) -> str:
    """Return why ``fault`` changed nothing of a request that was refused, or nothing."""
    if fault.inject is not None or fault.status is not None:
        return ""
    if answer.no_effect or (not fault.provider_fault and _has(fault, _EVIDENCE)):
        return "the request is refused anyway"
    return ""


def no_effect_on_evidence(fault: Fault, answer: Answer, sent: Evidence) -> str:
    """Return why ``fault`` changed nothing of the evidence that was ``sent``, or nothing."""
    if answer.no_effect:
        return "this request gets the same evidence anyway"
    if _has(fault, _BLOBS) and sent == answer.evidence and not fault.flags:
        return "this evidence has nothing that it would change"
    return ""


def _has(fault: Fault, names: tuple[str, ...]) -> bool:
    return any(getattr(fault, name) != getattr(NO_FAULT, name) for name in names)
