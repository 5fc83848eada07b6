# SPDX-License-Identifier: MIT
"""Descriptions of SEV-SNP reports of any version and product, certificate tables, manifests."""

from __future__ import annotations

from uuid import UUID

from cryptography import x509

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence.sev_snp.certificates import (
    ENTRY_SIZE,
    GUIDS,
    iter_entries,
    parse_table,
)
from providers_sim.evidence.sev_snp.manifest import (
    SERVICES_TABLE,
    UEFI_MM,
    VTPM,
    parse_services,
)
from providers_sim.evidence.sev_snp.report import (
    REPORT_SIZE,
    SIGNED_SIZE,
    SIGNING_KEYS,
    AttestationReport,
    parse_report,
    unpack_report,
)
from providers_sim.evidence.x509_text import add_certificate, add_crl

__all__ = ["describe"]

_VERSIONS = range(1, 8)
_POLICY_BITS = {
    16: "SMT allowed",
    17: "reserved, must be 1",
    18: "migration agent allowed",
    19: "DEBUG allowed",
    20: "single socket only",
    21: "CXL allowed",
    22: "AES-256-XTS required",
    23: "RAPL disabled",
    24: "ciphertext hiding required",
    25: "page swap disabled",
}
_PLATFORM_BITS = {
    0: "SMT enabled",
    1: "TSME enabled",
    2: "ECC memory",
    3: "RAPL disabled",
    4: "ciphertext hiding enabled",
    5: "alias check complete",
    7: "SEV-TIO enabled",
}
_FAMILIES = {
    (0x19, 0x01): "Milan",
    (0x19, 0x11): "Genoa",
    (0x19, 0xA0): "Bergamo or Siena",
    (0x1A, 0x02): "Turin",
    (0x1A, 0x11): "Turin Dense",
}
_TURIN_FAMILY = 0x1A
_NAMES = {guid: name for name, guid in GUIDS.items()}
_SERVICES = {VTPM: "vTPM", UEFI_MM: "UEFI MM"}


def describe(blob: bytes) -> Node | None:
    """Describe a report, a certificate table or a services manifest; None for anything else."""
    if len(blob) == REPORT_SIZE and int.from_bytes(blob[:4], "little") in _VERSIONS:
        return _describe_report(blob)
    if len(blob) >= ENTRY_SIZE and UUID(bytes=blob[:16]) in _NAMES:
        return _describe_table(blob)
    if blob[:16] == SERVICES_TABLE.bytes_le:
        return _describe_manifest(blob)
    return None


def _describe_report(blob: bytes) -> Node:
    report = unpack_report(blob[:SIGNED_SIZE])
    node = Node("SEV-SNP attestation report", f"version {report.version}, {len(blob)} bytes")
    node.add_violation(parse_report, blob)
    _add_identity(node, report)
    _add_bits(node.add("policy", f"{report.policy:#x}"), report.policy, _POLICY_BITS)
    platform = node.add("platform info", f"{report.platform_info:#x}")
    _add_bits(platform, report.platform_info, _PLATFORM_BITS)
    key = node.add("key info", f"{report.key_info:#x}")
    signer = {number: name for name, number in SIGNING_KEYS.items()}.get(report.key_info >> 2 & 7)
    key.add("signed by", signer or "an unknown key")
    key.add("chip key masked", "yes" if report.key_info & 2 else "no")
    key.add("author key", "yes" if report.key_info & 1 else "no")
    for name in ("current", "reported", "committed", "launch"):
        tcb = getattr(report, f"{name}_tcb")
        node.add(f"{name} TCB", _tcb_text(tcb, turin=report.cpuid[0] == _TURIN_FAMILY))
    for name in ("current", "committed"):
        build, minor, major = getattr(report, name)
        node.add(f"{name} firmware", f"{major}.{minor}.{build}")
    if report.version >= 5:
        node.add("launch mitigation vector", f"{report.launch_mit_vector:#x}")
        node.add("current mitigation vector", f"{report.current_mit_vector:#x}")
    signature = node.add("signature", "ECDSA P-384 with SHA-384")
    signature.add("R", blob[SIGNED_SIZE : SIGNED_SIZE + 72][::-1].lstrip(b"\0"))
    signature.add("S", blob[SIGNED_SIZE + 72 : SIGNED_SIZE + 144][::-1].lstrip(b"\0"))
    return node


def _add_identity(node: Node, report: AttestationReport) -> None:
    family, model, stepping = report.cpuid
    if any(report.cpuid):
        product = _FAMILIES.get((family, model), "unknown product")
        node.add("CPUID", f"family {family:#x} model {model:#x} stepping {stepping} ({product})")
    node.add("guest SVN", report.guest_svn)
    node.add("VMPL", report.vmpl)
    for name in (
        "report_data", "measurement", "host_data", "family_id", "image_id", "id_key_digest",
        "author_key_digest", "report_id", "report_id_ma", "chip_id",
    ):  # fmt: skip
        node.add(name.replace("_", " "), getattr(report, name))


def _add_bits(node: Node, value: int, names: dict[int, str]) -> None:
    for bit, name in names.items():
        if value >> bit & 1:
            node.add(f"bit {bit}", name)


def _tcb_text(tcb: bytes, *, turin: bool) -> str:
    offsets = {"boot loader": 0, "TEE": 1, "SNP": 6, "microcode": 7}
    if turin:
        offsets = {"FMC": 0, "boot loader": 1, "TEE": 2, "SNP": 3, "microcode": 7}
    return ", ".join(f"{name} {tcb[offset]}" for name, offset in offsets.items())


def _describe_table(blob: bytes) -> Node:
    node = Node("SEV-SNP certificate table", f"{len(blob)} bytes")
    node.add_violation(parse_table, blob)
    for guid, offset, length in iter_entries(blob):
        entry = node.add(_NAMES.get(guid, "unknown"), f"{guid}, {length} bytes at {offset}")
        _add_content(entry, guid, blob[offset : offset + length])
    return node


def _add_content(entry: Node, guid: UUID, content: bytes) -> None:
    try:
        if guid == GUIDS["CRL"]:
            add_crl(entry, x509.load_der_x509_crl(content))
        elif guid in _NAMES and guid != GUIDS["Google platform info"]:
            add_certificate(entry, x509.load_der_x509_certificate(content))
        else:
            entry.add("content", content[:64])
    except Exception as error:  # untrusted bytes: the parser may raise anything
        entry.add("damaged", error)


def _describe_manifest(blob: bytes) -> Node:
    node = Node("SVSM services manifest", f"{len(blob)} bytes")
    try:
        for guid, content in parse_services(blob):
            name = _SERVICES.get(guid, "unknown service")
            service = node.add(name, f"{guid}, {len(content)} bytes")
            service.add("manifest", content)
    except EvidenceError as error:
        node.add("violates the specification", error)
    return node
