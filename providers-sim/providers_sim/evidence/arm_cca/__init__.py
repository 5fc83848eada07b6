# SPDX-License-Identifier: MIT
"""Arm CCA: a realm behind the kernel's ``arm-cca-guest`` driver (since Linux 6.13).

Simulated, with the sources:

- the CCA token in both outer forms, tag 399 (Arm DEN0137, Realm Management Monitor
  specification 1.0) and tag 907 (draft-ffm-rats-cca-token, a collection of CWTs);
- realm claims with either encoding of the realm attestation key, the personalization value, and
  extensible measurements, which RSI_MEASUREMENT_EXTEND changes (DEN0137);
- platform claims, bound to the realm by the hash of its key (DEN0137; Arm CCA platform token);
- COSE_Sign1 with ES384, signed with a test CPAK and RAK (RFC 9052);
- the driver's limits on inblob, its attributes (all are visible, most have no effect), and its
  reactions to faults of the RMM (drivers/virt/coco/arm-cca-guest).

Not simulated: the key hierarchy of delegated attestation, more than one hash per component, the
driver's WARN when a token is longer than announced.
"""

from __future__ import annotations

from providers_sim.evidence.arm_cca.describe import describe
from providers_sim.evidence.arm_cca.faults import FAULTS  # fills ArmCca.faults
from providers_sim.evidence.arm_cca.provider import ArmCca, ArmCcaOptions

__all__ = ["FAULTS", "PROVIDER", "ArmCca", "ArmCcaOptions", "describe"]

PROVIDER = ArmCca
