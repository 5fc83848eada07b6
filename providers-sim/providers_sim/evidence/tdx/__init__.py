# SPDX-License-Identifier: MIT
"""Intel TDX: a TD behind the kernel's ``tdx-guest`` driver.

Simulated, with the sources:

- quotes of version 4 (TDX 1.0 body) and 5 (1.0 and 1.5), with QE report, QE authentication data
  and PCK chain (Intel, TDX DCAP Quoting Library API, appendix "Quote Format");
- TDREPORT with its hashes and a MAC (Intel document 348551, TDX Module ABI Reference), which the
  simulated quoting enclave turns into the quote;
- runtime measurement registers with extend (TDG.MR.RTMR.EXTEND, the same document);
- PCK chain, TCB signing, both revocation lists, TCB info and QE identity (Intel, PCK Certificate
  and CRL Profile Specification; PCS API version 4), for every TCB status;
- the driver's quote buffer, its thirty polls at intervals of a second, a quote that stays in flight
  (drivers/virt/coco/tdx-guest, Linux 6.12);
- faults of the VMM and the quote generation service.

Not simulated: the MAC's real algorithm (hardware does not disclose it), service TDs, TD migration,
DICE-style quotes, quote version 3 (SGX), the driver's WARN when TDREPORT fails.
"""

from __future__ import annotations

from providers_sim.evidence.tdx.describe import describe
from providers_sim.evidence.tdx.faults import FAULTS  # fills Tdx.faults
from providers_sim.evidence.tdx.provider import Tdx, TdxOptions

__all__ = ["FAULTS", "PROVIDER", "Tdx", "TdxOptions", "describe"]

PROVIDER = Tdx
