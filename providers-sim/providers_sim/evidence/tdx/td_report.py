# SPDX-License-Identifier: MIT
"""TDREPORT_STRUCT, 1024 bytes: what TDG.MR.REPORT gives a guest, for this machine's QE alone.

REPORTMACSTRUCT 256 bytes, TEE_TCB_INFO 239, reserved 17, TDINFO_STRUCT 512 (Intel, TDX Module
ABI Reference Specification, document 348551, section "TD Report Structures"). The two hashes are
SHA-384 over the two blocks; the MAC covers the first 224 bytes. Hardware keeps the MAC's key and
algorithm to itself: here it is HMAC-SHA-256 under a derived key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from providers_sim.errors import EvidenceError
from providers_sim.evidence.layout import Layout

__all__ = [
    "TD_REPORT_SIZE",
    "MacStruct",
    "TcbInfo",
    "TdInfo",
    "TdReport",
    "encode_td_report",
    "parse_td_report",
    "split_td_report",
]

TD_REPORT_SIZE = 1024
TEE_TYPE_TDX = 0x81

_MAC_STRUCT = Layout(
    "REPORTMACSTRUCT",
    ("tee_type", "B"),
    ("subtype", "B"),
    ("version", "B"),
    ("", "s"),
    ("", "12s"),
    ("cpu_svn", "16s"),
    ("tee_tcb_info_hash", "48s"),
    ("tee_info_hash", "48s"),
    ("report_data", "64s"),
    ("", "32s"),
    ("mac", "32s"),
)
_TCB_INFO = Layout(
    "TEE_TCB_INFO",
    ("valid", "Q"),
    ("tee_tcb_svn", "16s"),
    ("mr_seam", "48s"),
    ("mr_signer_seam", "48s"),
    ("seam_attributes", "8s"),
    ("tee_tcb_svn2", "16s"),
    ("", "95s"),
)
_TD_INFO = Layout(
    "TDINFO_STRUCT",
    ("attributes", "8s"),
    ("xfam", "8s"),
    ("mr_td", "48s"),
    ("mr_config_id", "48s"),
    ("mr_owner", "48s"),
    ("mr_owner_config", "48s"),
    ("rtmr0", "48s"),
    ("rtmr1", "48s"),
    ("rtmr2", "48s"),
    ("rtmr3", "48s"),
    ("mr_service_td", "48s"),
    ("", "64s"),
)
_MAC_START = 224
_TCB_INFO_START, _TCB_INFO_END, _TD_INFO_START = 256, 495, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """What the TDX module is; ``tee_tcb_svn2`` is zero before module 1.5."""

    valid: int
    tee_tcb_svn: bytes
    mr_seam: bytes
    mr_signer_seam: bytes = bytes(48)
    seam_attributes: bytes = bytes(8)
    tee_tcb_svn2: bytes = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdInfo:
    """What the guest is; ``mr_service_td`` is zero before module 1.5."""

    attributes: bytes
    xfam: bytes
    mr_td: bytes
    mr_config_id: bytes = bytes(48)
    mr_owner: bytes = bytes(48)
    mr_owner_config: bytes = bytes(48)
    rtmr0: bytes = bytes(48)
    rtmr1: bytes = bytes(48)
    rtmr2: bytes = bytes(48)
    rtmr3: bytes = bytes(48)
    mr_service_td: bytes = bytes(48)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """A report's own members and its two blocks; hashes and MAC follow from them."""

    cpu_svn: bytes
    report_data: bytes
    tcb: TcbInfo
    td: TdInfo
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MacStruct:
    """REPORTMACSTRUCT as it lies in memory."""

    tee_type: int
    subtype: int
    version: int
    cpu_svn: bytes
    tee_tcb_info_hash: bytes
    tee_info_hash: bytes
    report_data: bytes
    mac: bytes


def encode_td_report(report: TdReport, mac_key: bytes) -> bytes:
    """Encode ``report`` with its hashes and MAC; EvidenceError when a member does not fit."""
    tcb, td = _TCB_INFO.encode(report.tcb), _TD_INFO.encode(report.td)
    head = MacStruct(
        tee_type=TEE_TYPE_TDX,
        subtype=0,
        version=report.version,
        cpu_svn=report.cpu_svn,
        tee_tcb_info_hash=hashlib.sha384(tcb).digest(),
        tee_info_hash=hashlib.sha384(td).digest(),
        report_data=report.report_data,
        mac=bytes(32),
    )
    signed = _MAC_STRUCT.encode(head)[:_MAC_START]
    mac = hmac.digest(mac_key, signed, "sha256")
    return signed + mac + tcb + bytes(_TD_INFO_START - _TCB_INFO_END) + td


def parse_td_report(blob: bytes, mac_key: bytes) -> TdReport:
    """Decode a report as a quoting enclave would: EvidenceError unless hashes and MAC are right."""
    head, tcb, td = split_td_report(blob)
    if head.tee_type != TEE_TYPE_TDX or head.subtype != 0 or head.version > 1:
        raise EvidenceError(f"type {head.tee_type:#x}.{head.subtype}.{head.version} is no TDREPORT")
    if head.tee_tcb_info_hash != hashlib.sha384(blob[_TCB_INFO_START:_TCB_INFO_END]).digest():
        raise EvidenceError("the hash of TEE_TCB_INFO is wrong")
    if head.tee_info_hash != hashlib.sha384(blob[_TD_INFO_START:]).digest():
        raise EvidenceError("the hash of TDINFO_STRUCT is wrong")
    if not hmac.compare_digest(head.mac, hmac.digest(mac_key, blob[:_MAC_START], "sha256")):
        raise EvidenceError("the MAC is not this machine's")
    return TdReport(
        cpu_svn=head.cpu_svn,
        report_data=head.report_data,
        tcb=tcb,
        td=td,
        version=head.version,
    )


def split_td_report(blob: bytes, *, lenient: bool = False) -> tuple[MacStruct, TcbInfo, TdInfo]:
    """Take a report apart without believing it; EvidenceError on its size or reserved bytes."""
    if len(blob) != TD_REPORT_SIZE:
        raise EvidenceError(f"a TDREPORT has {TD_REPORT_SIZE} bytes, not {len(blob)}")
    if any(blob[_TCB_INFO_END:_TD_INFO_START]) and not lenient:
        raise EvidenceError("a reserved byte of TDREPORT is not 0")
    head = _MAC_STRUCT.decode(blob[:_TCB_INFO_START], lenient=lenient)
    tcb = _TCB_INFO.decode(blob[_TCB_INFO_START:_TCB_INFO_END], lenient=lenient)
    td = _TD_INFO.decode(blob[_TD_INFO_START:], lenient=lenient)
    return MacStruct(**head), TcbInfo(**tcb), TdInfo(**td)
