# SPDX-License-Identifier: MIT
"""One TD, its quoting enclave and its platform, behind the kernel's ``tdx-guest`` driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.evidence.tdx.collateral import TcbStatus, make_collateral
from providers_sim.evidence.tdx.pki import CPU_SVN, make_authority, pck_certificate, pck_key
from providers_sim.evidence.tdx.quote import (
    QeReport,
    Quote,
    QuoteBody,
    QuoteBody15,
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
from providers_sim.evidence.x509_build import public_key_pem
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key, public_point, sign_raw
from providers_sim.measurements import MeasurementRegisters
from providers_sim.options import Options, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["RTMR_COUNT", "RTMR_SIZE", "Tdx", "TdxOptions"]

RTMR_COUNT, RTMR_SIZE = 4, 48
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
    """Options of a TD."""

    version: Literal[4, 5] = option(4, "Version of the quote.")
    body: Literal["1.0", "1.5"] = option(
        "1.0", "TDX version whose TD report body a version 5 quote has."
    )
    tcb_status: TcbStatus = option(
        "UpToDate", "TCB status that a verifier gets from the collateral."
    )
    debug: bool = option(False, "Set the DEBUG attribute of the TD.")
    padding: int = option(0, "Zero bytes that the VMM appends to the quote.")
    buffer: int = option(8192, "Bytes of the driver's quote buffer: 8192 in 6.12, 131072 in 7.3.")

    def check(self) -> None:
        """Refuse a 1.5 body in a version 4 quote, and sizes outside their ranges."""
        if self.version == 4 and self.body != "1.0":
            raise ProviderError("a version 4 quote has a 1.0 body: add version=5 for 1.5")
        if not 0 <= self.padding <= 1 << 20 or not _QUOTE_HEADER < self.buffer <= 1 << 24:
            raise ProviderError(
                f"padding is 0 to 1 MiB and buffer {_QUOTE_HEADER + 1} bytes to 16 MiB; "
                f"not {self.padding} and {self.buffer}"
            )


class Tdx(Provider[TdxOptions]):
    """One TD on one simulated platform, both derived from the seed.

    The live state is the runtime measurement registers, the last quote, and whether a quote is in
    flight: the driver stopped waiting for it, and the host has not finished it.
    """

    id: ClassVar[str] = "tdx"
    kernel_name: ClassVar[str] = "tdx_guest"
    options_type = TdxOptions
    faults: ClassVar[FaultTable] = FaultTable()
    attrs = mask(Attr.GENERATION, Attr.PROVIDER)
    bin_attrs = mask(BinAttr.INBLOB, BinAttr.OUTBLOB)
    inblob_sizes: ClassVar[range] = range(64, 65)
    measurements: MeasurementRegisters

    def prepare(self) -> None:
        """Derive the platform, its quoting enclave and the TD."""
        options, seed = self.options, self.seed
        self._authority = make_authority(options.root)
        self._pck = pck_certificate(options.root, seed)
        self._mac_key = derive(seed, "tdreport mac", 32)
        self._key = derive_ec_key(seed, "tdx attestation key", ec.SECP256R1())
        self._attestation_key = public_point(self._key.public_key())
        self._tcb = _tcb_info(options.body)
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
        self._chain = b"".join(certificate.public_bytes(_PEM) for certificate in chain)

    def reset(self) -> None:
        """Set the registers to zero; there is no quote, in flight or finished."""
        self.measurements = _rtmrs()
        self._in_flight = False
        self.last_quote = b""

    def live_state(self) -> State:
        """Return the registers, whether a quote is in flight, and the last quote."""
        return {
            "rtmrs": self.measurements.to_state(),
            "in_flight": self._in_flight,
            "last_quote": self.last_quote.hex(),
        }

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace registers and quotes."""
        if len(state) != 3:
            raise ValueError(f"live state {dict(state)!r}")
        registers = _rtmrs()
        registers.restore(state["rtmrs"])
        last, in_flight = bytes.fromhex(state["last_quote"]), bool(state["in_flight"])
        self.measurements, self.last_quote, self._in_flight = registers, last, in_flight

    def admit(self, request: ReportRequest) -> None:
        """Refuse with BUSY while a quote is in flight."""
        if self._in_flight and len(request.inblob) in self.inblob_sizes:
            raise ProviderRefusal(Status.BUSY, "a quote is in flight")

    def abandon(self) -> None:
        """Leave the quote in flight."""
        self._in_flight = True

    def complete(self) -> None:
        """Finish the quote in flight."""
        self._in_flight = False

    def td_report(self, report_data: bytes) -> bytes:
        """Return the TDREPORT over 64 bytes, as the TDX_CMD_GET_REPORT0 ioctl does."""
        rtmrs = {f"rtmr{n}": value for n, value in enumerate(self.measurements.values)}
        return encode_td_report(
            TdReport(
                cpu_svn=CPU_SVN,
                report_data=report_data,
                tcb=self._tcb,
                td=replace(self._td, **rtmrs),
            ),
            self._mac_key,
        )

    def quote(self, td_report: bytes) -> bytes:
        """Turn a TDREPORT of this platform into a quote, as the quoting enclave does.

        Raises EvidenceError when the hashes or the MAC of the TDREPORT are wrong.
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

    def report(self, request: ReportRequest) -> Evidence:
        """Make a quote over ``request.inblob``; refuse with TOO_BIG like ``deliver``."""
        self.check(request)
        quote = self.quote(self.td_report(request.inblob))
        self.last_quote = quote
        return self.deliver(quote)

    def deliver(self, quote: bytes) -> Evidence:
        """Return ``quote`` as evidence; refuse with TOO_BIG when it exceeds the driver's buffer."""
        room = self.options.buffer - _QUOTE_HEADER
        if len(quote) > room:
            raise ProviderRefusal(Status.TOO_BIG, f"{len(quote)} bytes do not fit into {room}")
        return Evidence(quote)

    def collateral(self) -> dict[str, bytes]:
        """Return root, PCK chain, attestation key, and the collateral of Intel's service."""
        authority = self._authority
        return {
            "root.der": authority.root.public_bytes(_DER),
            "root.pem": authority.root.public_bytes(_PEM),
            "platform_ca.pem": authority.platform_ca.public_bytes(_PEM),
            "platform_ca.der": authority.platform_ca.public_bytes(_DER),
            "pck.der": self._pck.public_bytes(_DER),
            "pck.pem": self._pck.public_bytes(_PEM),
            "pck_chain.pem": self._chain,
            "attestation_public_key.pem": public_key_pem(self._key.public_key()),
            **make_collateral(
                authority, self.options.tcb_status, self._tcb.tee_tcb_svn, self._qe_report
            ),
        }

    def _body(self, report: TdReport) -> QuoteBody:
        members = {**asdict(report.tcb), **asdict(report.td), "report_data": report.report_data}
        members["td_attributes"] = members.pop("attributes")
        kind = QuoteBody15 if self.options.body == "1.5" else QuoteBody
        return kind(**{item.name: members[item.name] for item in fields(kind)})


def _tcb_info(body: str) -> TcbInfo:
    svn = bytes(_TCB_SVN[body]).ljust(16, b"\0")
    return TcbInfo(
        valid=_VALID[body],
        tee_tcb_svn=svn,
        mr_seam=derive(0, f"tdx module {body}", 48),
        tee_tcb_svn2=svn if body == "1.5" else bytes(16),
    )


def _rtmrs() -> MeasurementRegisters:
    # TDG.MR.RTMR.EXTEND takes exactly 48 bytes.
    return MeasurementRegisters("RTMR", RTMR_COUNT, "sha-384", range(RTMR_SIZE, RTMR_SIZE + 1))
