# SPDX-License-Identifier: MIT
"""Arm CCA, as a realm sees it through the kernel's ``arm-cca-guest`` driver (Linux 6.13 on).

Simulated, from these sources:

- the CCA token in both outer forms, tag 399 (Arm DEN0137, Realm Management Monitor
  specification 1.0) and tag 907 (draft-ffm-rats-cca-token, a collection of CWTs);
- realm claims with either encoding of the realm attestation key, personalization value and
  extensible measurements, which RSI_MEASUREMENT_EXTEND changes (DEN0137);
- platform claims, bound to the realm by the hash of its key (DEN0137; Arm CCA platform token);
- COSE_Sign1 with ES384 under a test CPAK and RAK (RFC 9052);
- the driver's limits on inblob, that it shows every attribute and ignores most, and what it does
  when the RMM fails (drivers/virt/coco/arm-cca-guest).

Not simulated: delegated attestation's own key hierarchy, more than one hash per component, the
WARN that the driver prints when a token is longer than announced.
"""

from __future__ import annotations

from providers_sim.evidence.arm_cca.describe import describe
from providers_sim.evidence.arm_cca.provider import ArmCca, ArmCcaOptions

__all__ = ["PROVIDER", "ArmCca", "ArmCcaOptions", "describe"]

PROVIDER = ArmCca
