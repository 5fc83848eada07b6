# SPDX-License-Identifier: MIT
"""AMD SEV-SNP: a guest on Milan or Genoa, behind the kernel's ``sev-guest`` driver.

Simulated, with the sources:

- the attestation report, versions 2, 3 and 5, signed by VCEK or VLEK (AMD document 56860, SEV
  Secure Nested Paging Firmware ABI, section "Attestation" and table "ATTESTATION_REPORT
  Structure"), at VMPL 0 to 3 with a floor;
- VCEK, VLEK, ASK, ASVK, ARK and the ARK's CRLs (AMD documents 57230 and 58369);
- the certificate table of an extended report (AMD document 56421, GHCB, "SNP Extended Guest
  Request");
- attestation of all services or of one by an SVSM, whose only service is a virtual TPM (AMD
  document 58019, "Attestation Protocol");
- the driver's refusals, retries and timeouts (drivers/virt/coco/sev-guest, Linux 6.12).

Not simulated: the encrypted messages between guest and firmware (only their sequence number is),
derived keys, id blocks and author keys (their digests are zero), migration agents, Turin. The
virtual TPM has a P-256 endorsement key; Coconut's has RSA-2048.
"""

from __future__ import annotations

from providers_sim.evidence.sev_snp.describe import describe
from providers_sim.evidence.sev_snp.faults import FAULTS  # fills SevSnp.faults
from providers_sim.evidence.sev_snp.provider import SevSnp, SevSnpOptions

__all__ = ["FAULTS", "PROVIDER", "SevSnp", "SevSnpOptions", "describe"]

PROVIDER = SevSnp
