# SPDX-License-Identifier: MIT
"""One TD, its quoting enclave and its platform, seen through the kernel's ``tdx-guest`` driver."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.evidence.tdx.collateral import TcbStatus, make_collateral
from providers_sim.evidence.tdx.faults import FAULTS
from providers_sim.evidence.tdx.pki import CPU_SVN, make_authority, pck_certificate, pck_key
from providers_sim.evidence.tdx.quote import (
    QeReport,
    Quote,
    QuoteBody,
    encode_qe_report,
    encode_quote,
    key_binding,
    signed_part,
)
from providers_sim.evidence.tdx.td_report import (
    TcbInfo,
    TdInfo,
    TdReport,
    encode_td_report,
    parse_td_report,
)
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key, public_point, sign_raw
from providers_sim.options import Options, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["RTMR_COUNT", "RTMR_SIZE", "Tdx", "TdxOptions"]

RTMR_COUNT, RTMR_SIZE = 4, 48
_INBLOB_SIZE = 64
_QUOTE_HEADER = 24  # of struct tdx_quote_buf, drivers/virt/coco/tdx-guest
_SEPT_VE_DISABLE = 1 << 28
_DEBUG = 1
_XFAM = bytes.fromhex("e702060000000000")
_TCB_SVN = {"1.0": (6, 0, 3), "1.5": (6, 1, 6)}
_VALID = {"1.0": 0x1FF, "1.5": 0x301FF}
_QE_AUTH = bytes(range(32))
_INTEL_MRSIGNER = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
_QE_ATTRIBUTES = bytes.fromhex("1500000000000000e700000000000000")
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


@dataclass(frozen=True, kw_only=True)
class TdxOptions(Options):
    """The variants of a TD."""

    version: Literal[4, 5] = option(4, "Version of the quote.")
    body: Literal["1.0", "1.5"] = option("1.0", "TDX whose body a version 5 quote has.")
    tcb_status: TcbStatus = option("UpToDate", "What a verifier comes to with the collateral.")
    debug: bool = option(False, "Set the DEBUG attribute of the TD.")
    padding: int = option(0, "Zero bytes that the VMM appends to the quote.")
    buffer: int = option(8192, "Bytes of the driver's quote buffer: 8192 in 6.12, 131072 in 7.3.")

    def check(self) -> None:
        """Refuse a 1.5 body in a version 4 quote, which has no place for it."""
        if self.version == 4 and self.body != "1.0":
            raise ProviderError("a version 4 quote has a 1.0 body: add version=5 for 1.5")
        if not 0 <= self.padding <= 1 << 20 or not _QUOTE_HEADER < self.buffer <= 1 << 24:
            raise ProviderError("padding is 0 to 1 MiB, buffer up to 16 MiB")


class Tdx(Provider[TdxOptions]):
    """One TD on one simulated platform; both follow from the seed.

    Its live state is the runtime measurement registers, the last quote, and whether the host
    still works on a quote that the driver stopped waiting for.
    """

    id: ClassVar[str] = "tdx"
    kernel_name: ClassVar[str] = "tdx_guest"
    options_type = TdxOptions
    faults: ClassVar[FaultTable] = FAULTS
    attrs = mask(Attr.GENERATION, Attr.PROVIDER)
    bin_attrs = mask(BinAttr.INBLOB, BinAttr.OUTBLOB)

    def prepare(self) -> None:
        """Derive the platform, its quoting enclave, and the TD."""
        options, seed = self.options, self.seed
        self._authority = make_authority(options.root)
        self._pck = pck_certificate(options.root, seed)
        self._mac_key = derive(seed, "tdreport mac", 32)
        self._key = derive_ec_key(seed, "tdx attestation key", ec.SECP256R1())
        self._attestation_key = public_point(self._key.public_key())
        svn = bytes(_TCB_SVN[options.body]).ljust(16, b"\0")
        modern = options.body == "1.5"
        self._tcb = TcbInfo(
            valid=_VALID[options.body],
            tee_tcb_svn=svn,
            mr_seam=derive(0, f"tdx module {options.body}", 48),
            tee_tcb_svn2=svn if modern else bytes(16),
        )
        attributes = _SEPT_VE_DISABLE | (_DEBUG if options.debug else 0)
        self._td = TdInfo(
            attributes=attributes.to_bytes(8, "little"),
            xfam=_XFAM,
            mr_td=derive(seed, "mrtd", 48),
        )
        self._qe_report = QeReport(
            cpu_svn=CPU_SVN,
            misc_select=0,
            attributes=_QE_ATTRIBUTES,
            mr_enclave=derive(0, "td quoting enclave", 32),
            mr_signer=_INTEL_MRSIGNER,
            isv_prod_id=2,
            isv_svn=8,
            report_data=key_binding(self._attestation_key, _QE_AUTH),
        )
        self._qe_signature = sign_raw(
            pck_key(options.root, seed), encode_qe_report(self._qe_report), hashes.SHA256()
        )
        chain = (self._pck, self._authority.platform_ca, self._authority.root)
        self._chain = b"".join(one.public_bytes(_PEM) for one in chain)

    def reset(self) -> None:
        """Start with registers of zeros and an idle quoting enclave."""
        self._rtmrs = [bytes(RTMR_SIZE)] * RTMR_COUNT
        self._in_flight = False
        self._last = b""

    def live_state(self) -> State:
        """Return the registers, whether a quote is in flight, and the last quote, in hex."""
        return {
            "rtmrs": [value.hex() for value in self._rtmrs],
            "in_flight": self._in_flight,
            "last_quote": self._last.hex(),
        }

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace the live state."""
        rtmrs = [bytes.fromhex(text) for text in state["rtmrs"]]
        if [len(value) for value in rtmrs] != [RTMR_SIZE] * RTMR_COUNT or len(state) != 3:
            raise ValueError(f"{RTMR_COUNT} registers have {RTMR_SIZE} bytes each")
        last, in_flight = bytes.fromhex(state["last_quote"]), bool(state["in_flight"])
        self._rtmrs, self._last, self._in_flight = rtmrs, last, in_flight

    def admit(self, request: ReportRequest) -> None:
        """Refuse with BUSY while a quote is in flight that nobody waits for."""
        if self._in_flight and len(request.inblob) == _INBLOB_SIZE:
            raise ProviderRefusal(Status.BUSY, "a quote is in flight")

    def abandon(self) -> None:
        """Leave a quote in flight."""
        self._in_flight = True

    def complete(self) -> None:
        """Have the host finish the quote in flight."""
        self._in_flight = False

    def registers(self) -> tuple[bytes, ...]:
        """Return RTMR0 to RTMR3."""
        return tuple(self._rtmrs)

    def extend(self, register: int, data: bytes) -> None:
        """Set RTMR to SHA-384(RTMR || data), as TDG.MR.RTMR.EXTEND does with 48 bytes."""
        if not 0 <= register < RTMR_COUNT or len(data) != RTMR_SIZE:
            raise ProviderError(
                f"RTMR{register} cannot be extended with {len(data)} bytes: "
                f"there are {RTMR_COUNT} registers, extended with {RTMR_SIZE} bytes"
            )
        self._rtmrs[register] = hashlib.sha384(self._rtmrs[register] + data).digest()

    def td_report(self, report_data: bytes) -> bytes:
        """Return the TDREPORT over 64 bytes, as the TDX_CMD_GET_REPORT0 ioctl gives it."""
        return encode_td_report(
            TdReport(
                cpu_svn=CPU_SVN,
                report_data=report_data,
                tcb=self._tcb,
                td=replace(
                    self._td,
                    rtmr0=self._rtmrs[0],
                    rtmr1=self._rtmrs[1],
                    rtmr2=self._rtmrs[2],
                    rtmr3=self._rtmrs[3],
                ),
            ),
            self._mac_key,
        )

    def quote(self, td_report: bytes) -> bytes:
        """Turn a TDREPORT of this platform into a quote, as the quoting enclave does.

        Raises EvidenceError when its hashes or MAC are wrong.
        """
        body = self._body(parse_td_report(td_report, self._mac_key))
        user_data = derive(self.seed, "qe id", 16).ljust(20, b"\0")
        signed = signed_part(self.options.version, user_data, body)
        return encode_quote(
            Quote(
                version=self.options.version,
                user_data=user_data,
                body=body,
                signature=sign_raw(self._key, signed, hashes.SHA256()),
                attestation_key=self._attestation_key,
                qe_report=self._qe_report,
                qe_signature=self._qe_signature,
                qe_auth=_QE_AUTH,
                pck_chain=self._chain + b"\0",
                padding=self.options.padding,
            )
        )

    def check(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal unless the driver would take the request: exactly 64 bytes."""
        if len(request.inblob) != _INBLOB_SIZE:
            raise ProviderRefusal(
                Status.INVALID, f"inblob has {len(request.inblob)} bytes, not {_INBLOB_SIZE}"
            )

    def report(self, request: ReportRequest) -> Evidence:
        """Make a quote over ``request.inblob``; TOO_BIG when it exceeds the driver's buffer."""
        self.check(request)
        quote = self.quote(self.td_report(request.inblob))
        self._last = quote
        return self.deliver(quote)

    def deliver(self, quote: bytes) -> Evidence:
        """Hand over a quote as the driver does: TOO_BIG when it exceeds the buffer."""
        room = self.options.buffer - _QUOTE_HEADER
        if len(quote) > room:
            raise ProviderRefusal(Status.TOO_BIG, f"{len(quote)} bytes do not fit into {room}")
        return Evidence(quote)

    @property
    def last_quote(self) -> bytes:
        """The last quote made, empty before the first."""
        return self._last

    def collateral(self) -> dict[str, bytes]:
        """Return the roots, the PCK chain, the keys, and what Intel's service would give."""
        authority = self._authority
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return {
            "root.der": authority.root.public_bytes(_DER),
            "root.pem": authority.root.public_bytes(_PEM),
            "platform_ca.pem": authority.platform_ca.public_bytes(_PEM),
            "platform_ca.der": authority.platform_ca.public_bytes(_DER),
            "pck.der": self._pck.public_bytes(_DER),
            "pck.pem": self._pck.public_bytes(_PEM),
            "pck_chain.pem": self._chain,
            "attestation_public_key.pem": self._key.public_key().public_bytes(_PEM, spki),
            **make_collateral(
                authority, self.options.tcb_status, self._tcb.tee_tcb_svn, self._qe_report
            ),
        }

    def _body(self, report: TdReport) -> QuoteBody:
        tcb, td = report.tcb, report.td
        modern = self.options.body == "1.5"
        return QuoteBody(
            tee_tcb_svn=tcb.tee_tcb_svn,
            mr_seam=tcb.mr_seam,
            mr_signer_seam=tcb.mr_signer_seam,
            seam_attributes=tcb.seam_attributes,
            td_attributes=td.attributes,
            xfam=td.xfam,
            mr_td=td.mr_td,
            mr_config_id=td.mr_config_id,
            mr_owner=td.mr_owner,
            mr_owner_config=td.mr_owner_config,
            rtmr0=td.rtmr0,
            rtmr1=td.rtmr1,
            rtmr2=td.rtmr2,
            rtmr3=td.rtmr3,
            report_data=report.report_data,
            tee_tcb_svn2=tcb.tee_tcb_svn2 if modern else None,
            mr_service_td=td.mr_service_td if modern else None,
        )
