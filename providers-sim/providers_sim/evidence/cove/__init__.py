# SPDX-License-Identifier: MIT
"""RISC-V CoVE, as a driver for it would show it to a TVM. Linux has no such driver yet.

Simulated, from riscv-non-isa/riscv-ap-tee ("TVM Attestation and Measurements", "CoVE Guest
Extension"), RFC 9052 (COSE), RFC 8392 (CWT), RFC 9711 (EAT) and RFC 9781 (UCCS):

- the platform, TSM and TVM tokens, each signed by the layer above, with all their claims;
- evidence bare, in a CBOR certificate, and in an X.509 certificate;
- runtime measurement registers with extend (sbi_covg_extend_measurement);
- the errors of sbi_covg_get_evidence, with errno as a driver might map them.

The labels that the specification leaves open are in the table of ``labels``. Where it contradicts
itself: the X.509 extension's content is the tagged claims set itself, as its CDDL has it, not an
ASN.1 SEQUENCE around it, as DICE would; certificates are signed with SHA-512, as recommended,
with whatever curve the tokens use.

Not simulated: DICE key derivation (keys follow from the seed), a public key that the TVM chooses
(the kernel's interface has no field for it), local attestation.
"""

from __future__ import annotations

from providers_sim.evidence.cove.describe import describe
from providers_sim.evidence.cove.provider import Cove, CoveOptions

__all__ = ["PROVIDER", "Cove", "CoveOptions", "describe"]

PROVIDER = Cove
