# SPDX-License-Identifier: MIT
"""The SEV-SNP ATTESTATION_REPORT, 1184 bytes, versions 2 to 5.

Source: AMD, SEV Secure Nested Paging Firmware ABI Specification (document 56860), table
"ATTESTATION_REPORT Structure". Little-endian; bytes 0x000..0x29F are signed with ECDSA P-384
and SHA-384; R and S follow as 72-byte little-endian integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import EvidenceError
from providers_sim.evidence.layout import U32, U64, Layout
from providers_sim.keys import sign_raw

__all__ = [
    "REPORT_SIZE",
    "SIGNED_SIZE",
    "SIGNING_KEYS",
    "AttestationReport",
    "Tcb",
    "encode_report",
    "parse_report",
    "unpack_report",
]

REPORT_SIZE = 0x4A0
SIGNED_SIZE = 0x2A0
SIGNING_KEYS = {"vcek": 0, "vlek": 1, "none": 7}
"""Values of bits 4:2 of the key info: the key that signed."""

_SCALAR_SIZE = 72
_P384_SIZE = 48
_ECDSA_P384_SHA384 = 1
_POLICY_RESERVED_ONE = 1 << 17
_VERSIONS = (2, 3, 4, 5)
_MITIGATION_VERSION = 5


@dataclass(frozen=True, slots=True)
class Tcb:
    """A TCB_VERSION of Milan and Genoa: security patch levels, 0..255 each."""

    boot_loader: int
    tee: int
    snp: int
    microcode: int

    def encode(self) -> bytes:
        """Return the eight bytes: boot loader, TEE, four zeros, SNP, microcode."""
        return bytes((self.boot_loader, self.tee, 0, 0, 0, 0, self.snp, self.microcode))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationReport:
    """The members of a report in their order.

    TCBs are their eight bytes, whose meaning depends on the product; ``cpuid`` is family, model
    and stepping; ``current`` and ``committed`` firmware versions are build, minor, major.
    """

    version: U32  # 0x000
    guest_svn: U32 = 0  # 0x004
    policy: U64  # 0x008
    family_id: Annotated[bytes, "16s"] = bytes(16)  # 0x010
    image_id: Annotated[bytes, "16s"] = bytes(16)  # 0x020
    vmpl: U32  # 0x030
    signature_algo: U32 = _ECDSA_P384_SHA384  # 0x034
    current_tcb: Annotated[bytes, "8s"]  # 0x038
    platform_info: U64  # 0x040
    key_info: U32 = 0  # 0x048
    report_data: Annotated[bytes, "4x64s"]  # 0x050
    measurement: Annotated[bytes, "48s"]  # 0x090
    host_data: Annotated[bytes, "32s"] = bytes(32)  # 0x0C0
    id_key_digest: Annotated[bytes, "48s"] = bytes(48)  # 0x0E0
    author_key_digest: Annotated[bytes, "48s"] = bytes(48)  # 0x110
    report_id: Annotated[bytes, "32s"]  # 0x140
    report_id_ma: Annotated[bytes, "32s"] = b"\xff" * 32  # 0x160 report id of the migration agent
    reported_tcb: Annotated[bytes, "8s"]  # 0x180
    cpuid: Annotated[bytes, "3s"] = bytes(3)  # 0x188 since version 3
    chip_id: Annotated[bytes, "21x64s"]  # 0x1A0
    committed_tcb: Annotated[bytes, "8s"]  # 0x1E0
    current: Annotated[bytes, "3s"]  # 0x1E8
    committed: Annotated[bytes, "x3s"]  # 0x1EC
    launch_tcb: Annotated[bytes, "x8s"]  # 0x1F0
    launch_mit_vector: U64 = 0  # 0x1F8 launch mitigation vector, since version 5
    current_mit_vector: Annotated[int, "Q152x"] = 0  # 0x200 current one, since version 5


_BODY = Layout(AttestationReport, "the report")


def unpack_report(body: bytes) -> AttestationReport:
    """Decode the 672 signed bytes without checks, for descriptions of malformed reports."""
    return _BODY.decode(body, lenient=True)


def _check(report: AttestationReport) -> None:
    if report.version not in _VERSIONS:
        raise EvidenceError(f"report version {report.version} is none of {_VERSIONS}")
    if report.signature_algo != _ECDSA_P384_SHA384:
        raise EvidenceError(f"signature algorithm {report.signature_algo} is not ECDSA P-384")
    if not report.policy & _POLICY_RESERVED_ONE:
        raise EvidenceError(f"bit 17 of the guest policy {report.policy:#x} must be 1")
    if report.vmpl > 3:
        raise EvidenceError(f"VMPL {report.vmpl} is not one of 0 to 3")
    if report.version == _VERSIONS[0] and any(report.cpuid):
        raise EvidenceError("a version 2 report has no CPUID bytes")
    vectors = report.launch_mit_vector | report.current_mit_vector
    if report.version < _MITIGATION_VERSION and vectors:
        raise EvidenceError(f"a version {report.version} report has no mitigation vectors")


def encode_report(report: AttestationReport, key: ec.EllipticCurvePrivateKey | None) -> bytes:
    """Encode ``report`` and sign it; EvidenceError when a member violates the specification.

    ``key`` is the VCEK or VLEK; without one the signature is zero, as with a masked chip key. The
    ECDSA nonce is deterministic (RFC 6979): the same report and key give the same bytes.
    """
    _check(report)
    body = _BODY.encode(report)
    if key is None:
        return body.ljust(REPORT_SIZE, b"\0")
    raw = sign_raw(key, body, hashes.SHA384())
    r, s = raw[:_P384_SIZE][::-1], raw[_P384_SIZE:][::-1]
    return (body + r.ljust(_SCALAR_SIZE, b"\0") + s).ljust(REPORT_SIZE, b"\0")


def parse_report(blob: bytes) -> AttestationReport:
    """Decode a report; of its signature, only the padding is checked.

    Raises EvidenceError on a wrong length, an unknown version, a reserved byte that is not 0
    or a member outside its range.
    """
    if len(blob) != REPORT_SIZE:
        raise EvidenceError(f"a report has {REPORT_SIZE} bytes, not {len(blob)}")
    body, signature = blob[:SIGNED_SIZE], blob[SIGNED_SIZE:]
    report = _BODY.decode(body)
    _check(report)
    r_padding = signature[_P384_SIZE:_SCALAR_SIZE]
    s_padding = signature[_SCALAR_SIZE + _P384_SIZE : 2 * _SCALAR_SIZE]
    if any(r_padding) or any(s_padding) or any(signature[2 * _SCALAR_SIZE :]):
        raise EvidenceError("the padding of the report's signature is not 0")
    return report
