# SPDX-License-Identifier: MIT
"""RISC-V CoVE: a TVM behind a driver for it, which Linux does not have yet.

Simulated, according to riscv-non-isa/riscv-ap-tee ("TVM Attestation and Measurements", "CoVE Guest
Extension"), RFC 9052 (COSE), RFC 8392 (CWT), RFC 9711 (EAT) and RFC 9781 (UCCS):

- the platform, TSM and TVM tokens with all their claims, each signed by the layer above;
- evidence bare, in a CBOR certificate, and in an X.509 certificate;
- runtime measurement registers with extend (sbi_covg_extend_measurement);
- the errors of sbi_covg_get_evidence, with suggested errno values.

The module ``claims`` chooses the labels that the specification leaves open. Where the
specification contradicts itself: the content of the X.509 extension is the tagged claims set, as
in its CDDL, not an ASN.1 SEQUENCE around it, as in DICE; certificates are signed with SHA-512, as
it recommends, and with the curve of the tokens.

Not simulated: DICE key derivation (keys are derived from the seed), a public key that the TVM
chooses (the kernel's interface has no field for it), local attestation.
"""

from __future__ import annotations

from providers_sim.evidence.cove.describe import describe
from providers_sim.evidence.cove.faults import FAULTS  # fills Cove.faults
from providers_sim.evidence.cove.provider import Cove, CoveOptions

__all__ = ["FAULTS", "PROVIDER", "Cove", "CoveOptions", "describe"]

PROVIDER = Cove
