# SPDX-License-Identifier: MIT
"""Faults of a TSM under a driver for CoVE, by name.

The SBI errors are those of sbi_covg_get_evidence (riscv-non-isa/riscv-ap-tee, "CoVE Guest
Extension"). Linux has no driver for CoVE: the errno of each error is a suggestion.
"""

from __future__ import annotations

import errno

from providers_sim.evidence.cove.provider import Cove
from providers_sim.fault_table import Answer, refuse
from tsmw.constants import Status
from tsmw.report import ReportRequest

__all__ = ["FAULTS"]

FAULTS = Cove.faults


@FAULTS.define("cove-busy", "EBUSY")
def _busy(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM is busy; the caller may retry."""
    return refuse(cove, request, Status.BUSY, "SBI: the TSM is busy")


@FAULTS.define("cove-invalid-param", "EINVAL")
def _invalid_param(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM rejects a parameter, such as a certificate form that it does not support."""
    return refuse(cove, request, Status.INVALID, "SBI_ERR_INVALID_PARAM")


@FAULTS.define("cove-invalid-address", "EFAULT")
def _invalid_address(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM cannot access an address that the driver passed."""
    reason = "SBI_ERR_INVALID_ADDRESS"
    return refuse(cove, request, Status.INJECT, reason, value=-errno.EFAULT)


@FAULTS.define("cove-failed", "EIO")
def _failed(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM fails for an internal reason."""
    return refuse(cove, request, Status.IO, "SBI_ERR_FAILED")


@FAULTS.define("cove-broken-chain", "success; a verifier refuses it")
def _broken_chain(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM token is signed by a platform that the root of trust did not certify."""
    cove.check(request)
    other = cove.key("cove strange platform", cove.seed)
    return Answer(evidence=cove.assemble(cove.tokens(request.inblob, tsm_signer=other)))


@FAULTS.define("cove-wrong-signer", "success; a verifier refuses it")
def _wrong_signer(cove: Cove, request: ReportRequest) -> Answer:
    """The TVM token is signed with another key than the TSM's."""
    cove.check(request)
    other = cove.key("cove strange tsm", cove.seed)
    return Answer(evidence=cove.assemble(cove.tokens(request.inblob, tvm_signer=other)))


@FAULTS.define("cove-stale-evidence", "success; a verifier refuses it")
def _stale_evidence(cove: Cove, request: ReportRequest) -> Answer:
    """The evidence is over the previous challenge, or over zeros when there was none."""
    cove.check(request)
    challenge = cove.last_challenge or bytes(64)
    return Answer(evidence=cove.assemble(cove.tokens(challenge)))
