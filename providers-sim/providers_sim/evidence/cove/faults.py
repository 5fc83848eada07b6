# SPDX-License-Identifier: MIT
"""What can go wrong between a TSM and a driver for CoVE, by name.

The SBI errors are those of sbi_covg_get_evidence (riscv-non-isa/riscv-ap-tee, "CoVE Guest
Extension"). No driver exists to take errno from: the mapping is a suggestion.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from providers_sim.errors import ProviderRefusal
from providers_sim.fault_table import Answer, FaultTable
from tsmw.constants import Status
from tsmw.report import ReportRequest

if TYPE_CHECKING:
    from providers_sim.evidence.cove.provider import Cove

__all__ = ["FAULTS"]

FAULTS = FaultTable()


def _refused(cove: Cove, request: ReportRequest, status: Status, reason: str) -> Answer:
    cove.check(request)
    return Answer(refusal=ProviderRefusal(status, reason))


@FAULTS.define("cove-busy", "EBUSY")
def _busy(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM is busy; the caller may ask again."""
    return _refused(cove, request, Status.BUSY, "SBI: the TSM is busy")


@FAULTS.define("cove-invalid-param", "EINVAL")
def _invalid_param(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM finds a parameter invalid, such as a certificate form it does not make."""
    return _refused(cove, request, Status.INVALID, "SBI_ERR_INVALID_PARAM")


@FAULTS.define("cove-invalid-address", "EFAULT")
def _invalid_address(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM cannot use an address the driver gave it."""
    cove.check(request)
    refusal = ProviderRefusal(Status.INJECT, "SBI_ERR_INVALID_ADDRESS", value=-errno.EFAULT)
    return Answer(refusal=refusal)


@FAULTS.define("cove-failed", "EIO")
def _failed(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM fails for a reason of its own."""
    return _refused(cove, request, Status.IO, "SBI_ERR_FAILED")


@FAULTS.define("cove-broken-chain", "success; a verifier notices")
def _broken_chain(cove: Cove, request: ReportRequest) -> Answer:
    """The TSM token is signed by a platform that the root of trust knows nothing of."""
    cove.check(request)
    strange = cove.key("cove strange platform", cove.seed)
    return Answer(evidence=cove.assemble(cove.tokens(request.inblob, tsm_signer=strange)))


@FAULTS.define("cove-wrong-signer", "success; a verifier notices")
def _wrong_signer(cove: Cove, request: ReportRequest) -> Answer:
    """The TVM token is signed with another key than the TSM's."""
    cove.check(request)
    strange = cove.key("cove strange tsm", cove.seed)
    return Answer(evidence=cove.assemble(cove.tokens(request.inblob, tvm_signer=strange)))


@FAULTS.define("cove-stale-evidence", "success; a verifier notices")
def _stale_evidence(cove: Cove, request: ReportRequest) -> Answer:
    """The evidence is over the previous challenge, or over zeros when there was none."""
    cove.check(request)
    challenge = cove.last_challenge or bytes(64)
    return Answer(evidence=cove.assemble(cove.tokens(challenge)))
