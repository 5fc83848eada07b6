# SPDX-License-Identifier: MIT
"""Simulated TSM providers: the evidence of several TEEs, and the protocol that delivers it.

A ``Provider`` makes evidence. A ``ProviderLoop`` serves one provider to a guest over a stream
socket, holds requests at a gate, injects faults and keeps a transcript. Nothing here depends on
what is at the socket's other end.
"""

from __future__ import annotations

from providers_sim.errors import (
    EvidenceError,
    ProviderError,
    ProviderRefusal,
    ProviderTimeout,
)
from providers_sim.fault_queue import FaultQueue
from providers_sim.faults import Fault
from providers_sim.loop import ProviderLoop
from providers_sim.options import Options
from providers_sim.provider import AnyProvider, Provider
from providers_sim.registry import available, create, describe, parse_spec, provider_type
from tsmw.report import Evidence, ReportRequest

__all__ = [
    "AnyProvider",
    "Evidence",
    "EvidenceError",
    "Fault",
    "FaultQueue",
    "Options",
    "Provider",
    "ProviderError",
    "ProviderLoop",
    "ProviderRefusal",
    "ProviderTimeout",
    "ReportRequest",
    "available",
    "create",
    "describe",
    "parse_spec",
    "provider_type",
]
