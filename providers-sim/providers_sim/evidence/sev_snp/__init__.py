# SPDX-License-Identifier: MIT
"""AMD SEV-SNP, as a guest on Milan or Genoa sees it through the kernel's ``sev-guest`` driver.

Simulated, from these sources:

- the attestation report, versions 2, 3 and 5, signed by VCEK or VLEK (AMD document 56860, SEV
  Secure Nested Paging Firmware ABI, section "Attestation" and table "ATTESTATION_REPORT
  Structure"), at VMPL 0 to 3 with a floor;
- VCEK, VLEK, ASK, ASVK, ARK and the ARK's CRLs (AMD documents 57230 and 58369);
- the certificate table of an extended report (AMD document 56421, GHCB, "SNP Extended Guest
  Request");
- service attestation by an SVSM (AMD document 58019, "Attestation Protocol"): all services and a
  single one, with a virtual TPM as the only service;
- what the driver refuses, retries and gives up (drivers/virt/coco/sev-guest, Linux 6.12).

Not simulated: the encrypted messages between guest and firmware themselves (their sequence
number is), derived keys, id blocks and author keys (their digests are zero), migration agents,
Turin. An SVSM's virtual TPM has a P-256 endorsement key, where Coconut's has RSA-2048.
"""

from __future__ import annotations

from providers_sim.evidence.sev_snp.describe import describe
from providers_sim.evidence.sev_snp.provider import SevSnp, SevSnpOptions

__all__ = ["PROVIDER", "SevSnp", "SevSnpOptions", "describe"]

PROVIDER = SevSnp
