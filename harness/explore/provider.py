# SPDX-License-Identifier: MIT
"""The provider of an exploration: it answers each request as the step's behaviour says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from harness.model.outcome import Blobs, SeenRequest
from harness.model.steps import ORDINARY, Behaviour
from providers_sim.errors import ProviderRefusal
from providers_sim.fault_table import Answer
from providers_sim.options import Options
from providers_sim.provider import Provider
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["ALL_ATTRIBUTES", "ALL_BLOBS", "NAME", "ScriptedProvider"]

NAME = "tsm_sim"
"""The name under which it registers at first."""

ALL_ATTRIBUTES, ALL_BLOBS = 0x7F, 0xF
"""The masks with which it shows every attribute."""


class ScriptedProvider(Provider[Options]):
    """Answers by a script; ``script`` has the behaviour for each mark of a request.

    Every byte of a blob depends on the seed, the number of the report and the position, so that
    a mixture of two reports is no part of either. ``seen`` has the mark and the caller of each
    request that was answered, in order.
    """

    id: ClassVar[str] = "scripted"
    kernel_name: ClassVar[str] = NAME
    options_type = Options
    attrs: int = ALL_ATTRIBUTES
    bin_attrs: int = ALL_BLOBS

    def prepare(self) -> None:
        """Forget the script and the requests."""
        self.script: dict[int, Behaviour] = {}
        self.seen: list[tuple[int, int, SeenRequest]] = []

    def report(self, request: ReportRequest) -> Evidence:
        """Make an ordinary report."""
        return _evidence(self._blobs(ORDINARY))

    def collateral(self) -> dict[str, bytes]:
        """Nothing verifies these reports."""
        return {}

    def answer(
        self, request: ReportRequest, fault: str = "", params: Mapping[str, Any] | None = None
    ) -> Answer:
        """Answer as the script says."""
        behaviour = self.script.get(request.mark, ORDINARY)
        blobs = None if behaviour.value else self._blobs(behaviour)
        self.seen.append((request.mark, request.caller, _seen(request, behaviour, blobs)))
        if blobs is None:
            refusal = ProviderRefusal(Status.INJECT, "", value=behaviour.value)
            return Answer(refusal=refusal)
        return Answer(
            evidence=_evidence(blobs),
            keep_lengths=behaviour.keep_lengths,
            vmalloc=behaviour.vmalloc,
        )

    def _blobs(self, behaviour: Behaviour) -> Blobs:
        serial = len(self.seen) + 1
        out, aux, manifest = (
            hashlib.shake_128(f"{self.seed} {serial} {which}".encode()).digest(length)
            for which, length in enumerate(behaviour.lengths)
        )
        return Blobs(serial, out, aux, manifest)


def _evidence(blobs: Blobs) -> Evidence:
    return Evidence(blobs.outblob, blobs.auxblob, blobs.manifestblob)


def _seen(request: ReportRequest, behaviour: Behaviour, blobs: Blobs | None) -> SeenRequest:
    return SeenRequest(
        nonce=request.inblob,
        array=request.inblob_array,
        privlevel=request.privlevel,
        format=request.format,
        service_provider=request.service_provider,
        service_guid=request.service_guid,
        manifest_version=request.manifest_version,
        behaviour=behaviour,
        blobs=blobs,
    )
