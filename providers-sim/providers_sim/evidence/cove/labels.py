# SPDX-License-Identifier: MIT
"""The labels of CoVE's claims.

The specification (riscv-non-isa/riscv-ap-tee, "TVM Attestation and Measurements", section
"Evidence Format") fixes those of CWT and EAT and leaves its own "TBD". Those are taken here from
the range that RFC 8392 leaves to private use (below -65536):

========  =====================================================
label     claim
========  =====================================================
1         issuer of a certificate (CWT iss)
2         subject of a certificate (CWT sub)
10        tvm-challenge (EAT nonce)
265       riscv-cove-eat-profile (EAT profile)
266       the three tokens (EAT submodules)
-70001    platform-public-key
-70002    platform-manufacturer-id
-70003    platform-state
-70004    platform-sw-components
-70005    tsm-public-key
-70006    tsm-sw-components
-70007    tvm-identity
-70008    tvm-public-key
-70009    tvm-initial-measurements
-70010    tvm-runtime-measurements
-70011    evidence, in a CBOR certificate
========  =====================================================
"""

from __future__ import annotations

__all__ = [
    "CERTIFICATE",
    "COMPONENT",
    "MEASUREMENT",
    "NAMES",
    "PLATFORM",
    "SUBMODULES",
    "TSM",
    "TVM",
]

SUBMODULES = 266
CERTIFICATE = {"issuer": 1, "subject": 2, "evidence": -70011}
PLATFORM = {
    "profile": 265,
    "public_key": -70001,
    "manufacturer_id": -70002,
    "state": -70003,
    "sw_components": -70004,
}
TSM = {"public_key": -70005, "sw_components": -70006}
TVM = {
    "challenge": 10,
    "identity": -70007,
    "public_key": -70008,
    "initial_measurements": -70009,
    "runtime_measurements": -70010,
}
COMPONENT = {"type": 1, "measurement": 2, "svn": 3, "manifest": 4, "signer": 5, "hash_algorithm": 6}
MEASUREMENT = {"register": 1, "value": 2, "hash_algorithm": 3}

NAMES = {SUBMODULES: "tokens"} | {
    label: name.replace("_", " ")
    for labels in (PLATFORM, TSM, TVM)
    for name, label in labels.items()
}
"""What each label of a token means, for people."""
