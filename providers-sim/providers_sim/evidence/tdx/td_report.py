# SPDX-License-Identifier: MIT
"""TDREPORT_STRUCT, 1024 bytes: the result of TDG.MR.REPORT, for the QE of the same machine only.

REPORTMACSTRUCT 256 bytes, TEE_TCB_INFO 239, reserved 17, TDINFO_STRUCT 512 (Intel, TDX Module
ABI Reference Specification, document 348551, section "TD Report Structures"). The two hashes are
SHA-384 over the last two blocks; the MAC covers the first 224 bytes. Hardware does not disclose
the MAC's key and algorithm; the simulation uses HMAC-SHA-256 with a derived key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated

from providers_sim.errors import EvidenceError
from providers_sim.evidence.layout import U8, U64, Layout

__all__ = [
    "TD_REPORT_SIZE",
    "TEE_TYPE_TDX",
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

_MAC_START = 224
_TCB_INFO_START, _TCB_INFO_END, _TD_INFO_START = 256, 495, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class MacStruct:
    """REPORTMACSTRUCT."""

    tee_type: U8
    subtype: U8
    version: U8
    cpu_svn: Annotated[bytes, "13x16s"]
    tee_tcb_info_hash: Annotated[bytes, "48s"]
    tee_info_hash: Annotated[bytes, "48s"]
    report_data: Annotated[bytes, "64s"]
    mac: Annotated[bytes, "32x32s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TcbInfo:
    """TEE_TCB_INFO, the TDX module; ``tee_tcb_svn2`` is zero before module 1.5."""

    valid: U64
    tee_tcb_svn: Annotated[bytes, "16s"]
    mr_seam: Annotated[bytes, "48s"]
    mr_signer_seam: Annotated[bytes, "48s"] = bytes(48)
    seam_attributes: Annotated[bytes, "8s"] = bytes(8)
    tee_tcb_svn2: Annotated[bytes, "16s95x"] = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class TdInfo:
    """TDINFO_STRUCT, the guest; ``mr_service_td`` is zero before module 1.5."""

    attributes: Annotated[bytes, "8s"]
    xfam: Annotated[bytes, "8s"]
    mr_td: Annotated[bytes, "48s"]
    mr_config_id: Annotated[bytes, "48s"] = bytes(48)
    mr_owner: Annotated[bytes, "48s"] = bytes(48)
    mr_owner_config: Annotated[bytes, "48s"] = bytes(48)
    rtmr0: Annotated[bytes, "48s"] = bytes(48)
    rtmr1: Annotated[bytes, "48s"] = bytes(48)
    rtmr2: Annotated[bytes, "48s"] = bytes(48)
    rtmr3: Annotated[bytes, "48s"] = bytes(48)
    mr_service_td: Annotated[bytes, "48s64x"] = bytes(48)


_MAC_STRUCT = Layout(MacStruct, "REPORTMACSTRUCT")
_TCB_INFO = Layout(TcbInfo, "TEE_TCB_INFO")
_TD_INFO = Layout(TdInfo, "TDINFO_STRUCT")


@dataclass(frozen=True, slots=True, kw_only=True)
class TdReport:
    """The contents of a report; its hashes and MAC are computed from them."""

    cpu_svn: bytes
    report_data: bytes
    tcb: TcbInfo
    td: TdInfo
    version: int = 0


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


def parse_td_report(blob: bytes, mac_key: bytes | None) -> TdReport:
    """Decode a report; EvidenceError when its hashes or its MAC are wrong.

    Without ``mac_key`` the MAC is not checked.
    """
    head, tcb, td = split_td_report(blob)
    if head.tee_type != TEE_TYPE_TDX or head.subtype != 0 or head.version > 1:
        raise EvidenceError(
            f"type {head.tee_type:#x}.{head.subtype}.{head.version} is not a TDREPORT"
        )
    if head.tee_tcb_info_hash != hashlib.sha384(blob[_TCB_INFO_START:_TCB_INFO_END]).digest():
        raise EvidenceError("the hash of TEE_TCB_INFO is wrong")
    if head.tee_info_hash != hashlib.sha384(blob[_TD_INFO_START:]).digest():
        raise EvidenceError("the hash of TDINFO_STRUCT is wrong")
    if mac_key is not None:
        mac = hmac.digest(mac_key, blob[:_MAC_START], "sha256")
        if not hmac.compare_digest(head.mac, mac):
            raise EvidenceError("the MAC is not this machine's")
    return TdReport(
        cpu_svn=head.cpu_svn,
        report_data=head.report_data,
        tcb=tcb,
        td=td,
        version=head.version,
    )


def split_td_report(blob: bytes, *, lenient: bool = False) -> tuple[MacStruct, TcbInfo, TdInfo]:
    """Decode the blocks of a report without checking hashes and MAC.

    Raises EvidenceError on a wrong size and, unless ``lenient``, a reserved byte that is not 0.
    """
    if len(blob) != TD_REPORT_SIZE:
        raise EvidenceError(f"a TDREPORT has {TD_REPORT_SIZE} bytes, not {len(blob)}")
    if any(blob[_TCB_INFO_END:_TD_INFO_START]) and not lenient:
        raise EvidenceError("a reserved byte of TDREPORT is not 0")
    return (
        _MAC_STRUCT.decode(blob[:_TCB_INFO_START], lenient=lenient),
        _TCB_INFO.decode(blob[_TCB_INFO_START:_TCB_INFO_END], lenient=lenient),
        _TD_INFO.decode(blob[_TD_INFO_START:], lenient=lenient),
    )
