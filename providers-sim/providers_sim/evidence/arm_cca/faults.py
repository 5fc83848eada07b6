# SPDX-License-Identifier: MIT
"""Faults of an RMM under the kernel's ``arm-cca-guest`` driver, by name.

Source of errno: drivers/virt/coco/arm-cca-guest (``arm_cca_report_new``) since Linux 6.13; of the
RMM's side: Arm DEN0137, RSI_ATTESTATION_TOKEN_INIT and RSI_ATTESTATION_TOKEN_CONTINUE.
"""

from __future__ import annotations

from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.evidence.arm_cca.provider import ArmCca
from providers_sim.fault_table import Answer, refuse
from providers_sim.keys import derive_ec_key
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["FAULTS"]

_DEBUG_LIFECYCLE = 0x4002

FAULTS = ArmCca.faults


@FAULTS.define("cca-init-refused", "EINVAL")
def _init_refused(cca: ArmCca, request: ReportRequest) -> Answer:
    """The RMM refuses to start a token."""
    return refuse(cca, request, Status.INVALID, "RSI_ATTESTATION_TOKEN_INIT failed")


@FAULTS.define("cca-continue-failed", "ENXIO")
def _continue_failed(cca: ArmCca, request: ReportRequest) -> Answer:
    """The RMM fails after it has returned a part of the token."""
    return refuse(cca, request, Status.NO_DEVICE, "RSI_ATTESTATION_TOKEN_CONTINUE failed")


@FAULTS.define("cca-token-too-long", "success, with a truncated token")
def _token_too_long(cca: ArmCca, request: ReportRequest, *, announced: int = 1024) -> Answer:
    """The token is longer than the ``announced`` bytes: the driver warns and truncates it."""
    token = cca.report(request).outblob
    return Answer(evidence=Evidence(token[: max(announced, 0)]))


@FAULTS.define("cca-wrong-binding", "success; a verifier refuses it")
def _wrong_binding(cca: ArmCca, request: ReportRequest) -> Answer:
    """The platform token binds another realm's key."""
    cca.report(request)
    other = bytes(byte ^ 0xFF for byte in cca.platform.challenge)
    platform = cca.sign_platform(replace(cca.platform, challenge=other))
    return Answer(evidence=cca.join(platform, cca.last_realm_token))


@FAULTS.define("cca-stale-realm-token", "success; a verifier refuses it")
def _stale_realm_token(cca: ArmCca, request: ReportRequest) -> Answer:
    """The realm token is the previous one, or one over zeros when there is none."""
    cca.check(request)
    stale = cca.last_realm_token or cca.sign_realm(replace(request, inblob=bytes(64)))
    return Answer(evidence=cca.join(cca.platform_token, stale))


@FAULTS.define("cca-wrong-signer", "success; a verifier refuses it")
def _wrong_signer(cca: ArmCca, request: ReportRequest) -> Answer:
    """The realm token is signed with a key that the platform token does not bind."""
    cca.check(request)
    other = derive_ec_key(cca.seed, "cca strange key", ec.SECP384R1())
    return Answer(evidence=cca.join(cca.platform_token, cca.sign_realm(request, other)))


@FAULTS.define("cca-debug-lifecycle", "success; a verifier refuses it")
def _debug_lifecycle(cca: ArmCca, request: ReportRequest) -> Answer:
    """The platform has since changed to a debug state."""
    cca.report(request)
    platform = cca.sign_platform(replace(cca.platform, lifecycle=_DEBUG_LIFECYCLE))
    return Answer(evidence=cca.join(platform, cca.last_realm_token))
