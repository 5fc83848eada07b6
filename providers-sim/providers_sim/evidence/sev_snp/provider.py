# SPDX-License-Identifier: MIT
"""One SEV-SNP guest, its chip and its host, behind the kernel's ``sev-guest`` driver."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.evidence.sev_snp.certificates import BUFFER_SIZE, GUIDS, encode_table
from providers_sim.evidence.sev_snp.manifest import VTPM, encode_services, endorsement_key_area
from providers_sim.evidence.sev_snp.pki import PRODUCTS, Pki
from providers_sim.evidence.sev_snp.report import (
    SIGNING_KEYS,
    AttestationReport,
    Tcb,
    encode_report,
)
from providers_sim.evidence.x509_build import public_key_pem
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key
from providers_sim.options import Options, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["SevSnp", "SevSnpOptions"]

_MAX_VMPL = 3
_POLICY = 0x3_0000  # SMT allowed, and the reserved bit that must be 1; no debugging
_SMT_ENABLED = 0x1
_FIRMWARE = bytes((21, 55, 1))
_CPUID_VERSION, _MITIGATION_VERSION = 3, 5
_MITIGATIONS = 0x1
_SEQUENCE_END = 0xFFFF_FFFF
_SVSM_GUEST_VMPL = 2


@dataclass(frozen=True, kw_only=True)
class SevSnpOptions(Options):
    """Options of an SEV-SNP guest."""

    version: Literal[2, 3, 5] = option(3, "Version of the attestation report.")
    product: Literal["milan", "genoa"] = option("milan", "Processor line.")
    key: Literal["vcek", "vlek"] = option(
        "vcek", "Key that signs the report: the chip's own (vcek) or the cloud provider's (vlek)."
    )
    vmpl: Literal[0, 1, 2, 3] = option(
        0, "VMPL of the guest, which is the floor of privlevel; with --svsm, 0 means 2."
    )
    certificates: Literal["chain", "chain+crl", "none"] = option(
        "chain", "Certificates that the host returns with a report."
    )
    svsm: bool = option(False, "Run the guest under an SVSM, which attests its services.")


class SevSnp(Provider[SevSnpOptions]):
    """One guest on one simulated chip, both derived from the seed.

    The live state is the sequence number of the next message to firmware, and whether the driver
    has wiped the key (VMPCK) that encrypts those messages.
    """

    id: ClassVar[str] = "sev-snp"
    kernel_name: ClassVar[str] = "sev_guest"
    options_type = SevSnpOptions
    faults: ClassVar[FaultTable] = FaultTable()
    inblob_sizes: ClassVar[range] = range(64, 65)

    tcb: Tcb = Tcb(boot_loader=3, tee=0, snp=20, microcode=209)

    @classmethod
    def visible(cls, options: Options) -> tuple[int, int]:
        """Show the service attributes and the manifest only under an SVSM, as the driver does."""
        assert isinstance(options, SevSnpOptions)
        attrs = [Attr.GENERATION, Attr.PROVIDER, Attr.PRIVLEVEL, Attr.PRIVLEVEL_FLOOR]
        bin_attrs = [BinAttr.INBLOB, BinAttr.OUTBLOB, BinAttr.AUXBLOB]
        if options.svsm:
            attrs += [Attr.SERVICE_PROVIDER, Attr.SERVICE_GUID, Attr.SERVICE_MANIFEST_VERSION]
            bin_attrs += [BinAttr.MANIFESTBLOB]
        return mask(*attrs), mask(*bin_attrs)

    @classmethod
    def filled(cls, options: Options) -> int:
        """Fill the auxblob if the host has certificates; an SVSM's manifest is made on request."""
        assert isinstance(options, SevSnpOptions)
        blobs = [BinAttr.OUTBLOB]
        blobs += [BinAttr.AUXBLOB] if options.certificates != "none" else []
        return mask(*blobs)

    def prepare(self) -> None:
        """Derive chip, keys and guest; read or make their certificates."""
        options, seed = self.options, self.seed
        self.attrs, self.bin_attrs = self.visible(options)
        self.privlevel_floor = options.vmpl or _SVSM_GUEST_VMPL * options.svsm
        self._chip_id = derive(seed, "chip id", 64)
        self._measurement = derive(seed, "measurement", 48)
        self._report_id = derive(seed, "report id", 32)
        self._key = derive_ec_key(seed, options.key, ec.SECP384R1())
        self._pki = Pki(self.pki, PRODUCTS[options.product], options.root)
        self._table = b"" if options.certificates == "none" else encode_table(self.certificates())
        area = endorsement_key_area(derive_ec_key(seed, "vtpm", ec.SECP256R1()).public_key())
        self._services = {VTPM: area}

    def reset(self) -> None:
        """Set the sequence number to 1 and the VMPCK to valid."""
        self._sequence = 1
        self._wiped = False

    def live_state(self) -> State:
        """Return the next message's sequence number, and whether the VMPCK is wiped."""
        return {"sequence": self._sequence, "vmpck_wiped": self._wiped}

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace sequence number and VMPCK state."""
        sequence, wiped = int(state["sequence"]), state["vmpck_wiped"]
        if set(state) != {"sequence", "vmpck_wiped"} or not 1 <= sequence <= _SEQUENCE_END:
            raise ValueError(f"live state {dict(state)!r}")
        self._sequence, self._wiped = sequence, bool(wiped)

    def admit(self, request: ReportRequest) -> None:
        """Refuse with NO_KEY when the request needs the wiped VMPCK; an SVSM has its own key."""
        needs_key = len(request.inblob) in self.inblob_sizes and request.service_provider is None
        if self._wiped and needs_key:
            raise ProviderRefusal(Status.NO_KEY, "the VMPCK is disabled")

    def wipe_key(self) -> None:
        """Wipe the VMPCK permanently, as the driver does when it cannot trust a response."""
        self._wiped = True

    def exhaust_sequence(self) -> None:
        """Set the sequence number to its end."""
        self._sequence = _SEQUENCE_END

    def check(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal where driver or firmware refuse ``request``.

        The driver accepts exactly 64 bytes, and a service provider only under an SVSM and only
        "svsm"; firmware refuses a VMPL more privileged than the guest's own.
        """
        super().check(request)
        if request.service_provider is not None:
            self._check_service(request)
        elif not self.privlevel_floor <= request.privlevel <= _MAX_VMPL:
            raise _invalid(
                f"VMPL {request.privlevel} is not within {self.privlevel_floor}..{_MAX_VMPL}"
            )

    def check_service(self, request: ReportRequest) -> None:
        """Like ``check``; ProviderError when the request is not for a service of an SVSM."""
        self.check(request)
        if request.service_provider is None:
            raise ProviderError("this fault needs a request for a service of an SVSM")

    def report(self, request: ReportRequest) -> Evidence:
        """Sign a report over ``request.inblob``, or over it and an SVSM's manifest."""
        self.check(request)
        if request.service_provider is not None:
            return self._service_report(request)
        self._next_message()
        body = self._body(request.privlevel, request.inblob)
        return Evidence(encode_report(body, self._key), self._table)

    def report_unsigned(self, request: ReportRequest) -> Evidence:
        """Make a report of a chip whose key is masked: chip id and signature are zero."""
        evidence = self.report(request)
        body = self._body(request.privlevel, request.inblob)
        masked = replace(
            body, key_info=1 << 1 | SIGNING_KEYS["none"] << 2, chip_id=bytes(len(body.chip_id))
        )
        return replace(evidence, outblob=encode_report(masked, None))

    def certificates(
        self, *, tcb: Tcb | None = None, chip_id: bytes | None = None
    ) -> list[tuple[UUID, bytes]]:
        """Return the entries of the host's table; the leaf may be for another TCB or chip."""
        kind = self.options.key
        leaf = self._pki.leaf(
            kind, self._key.public_key(), chip_id or self._chip_id, tcb or self.tcb
        )
        entries = [
            (GUIDS[kind.upper()], leaf),
            (GUIDS["ASK"], self._pki.intermediate(kind)),
            (GUIDS["ARK"], self._pki.ark),
        ]
        if self.options.certificates == "chain+crl":
            entries.append((GUIDS["CRL"], self._pki.crl(kind)))
        return entries

    def collateral(self) -> dict[str, bytes]:
        """Return root, intermediate and leaf in DER and PEM, the CRL, and the key that signs.

        The names are ``ark``, ``ask`` or ``asvk``, ``vcek`` or ``vlek``. ``cert_chain.pem`` is the
        chain in the order of AMD's service, the root last.
        """
        kind = self.options.key
        (_, leaf), (_, intermediate), (_, ark) = self.certificates()[:3]
        middle = "ask" if kind == "vcek" else "asvk"
        files = {f"{kind}.der": leaf, f"{middle}.der": intermediate, "ark.der": ark}
        pem = {name.replace(".der", ".pem"): _pem(der) for name, der in files.items()}
        return {
            **files,
            **pem,
            "crl.der": self._pki.crl(kind),
            "cert_chain.pem": pem[f"{middle}.pem"] + pem["ark.pem"],
            f"{kind}_public_key.pem": public_key_pem(self._key.public_key()),
        }

    def _check_service(self, request: ReportRequest) -> None:
        if not self.options.svsm or request.service_provider != b"svsm":
            raise _invalid(f"there is no service provider {request.service_provider!r}")
        guid = UUID(bytes_le=request.service_guid or bytes(16))
        if guid.int and (guid not in self._services or request.manifest_version != 0):
            raise _invalid(
                f"there is no service {guid} with manifest version {request.manifest_version}"
            )

    def _service_report(self, request: ReportRequest) -> Evidence:
        guid = UUID(bytes_le=request.service_guid or bytes(16))
        manifest = self._services[guid] if guid.int else encode_services(self._services.items())
        digest = hashlib.sha512(request.inblob + manifest).digest()
        outblob = encode_report(self._body(0, digest), self._key)
        # The SVSM returns its whole certificate buffer, not only the table in it.
        auxblob = self._table.ljust(BUFFER_SIZE, b"\0") if self._table else b""
        return Evidence(outblob, auxblob, manifest)

    def _next_message(self) -> None:
        if self._sequence >= _SEQUENCE_END - 1:
            raise ProviderRefusal(Status.IO, "the message sequence number is exhausted")
        self._sequence += 2  # one for the request, one for the response

    def _body(self, vmpl: int, report_data: bytes) -> AttestationReport:
        options, tcb = self.options, self.tcb.encode()
        product = PRODUCTS[options.product]
        mitigations = _MITIGATIONS if options.version >= _MITIGATION_VERSION else 0
        return AttestationReport(
            version=options.version,
            policy=_POLICY,
            vmpl=vmpl,
            current_tcb=tcb,
            platform_info=_SMT_ENABLED,
            key_info=SIGNING_KEYS[options.key] << 2,
            report_data=report_data,
            measurement=self._measurement,
            report_id=self._report_id,
            reported_tcb=tcb,
            cpuid=product.cpuid if options.version >= _CPUID_VERSION else bytes(3),
            chip_id=self._chip_id,
            committed_tcb=tcb,
            current=_FIRMWARE,
            committed=_FIRMWARE,
            launch_tcb=tcb,
            launch_mit_vector=mitigations,
            current_mit_vector=mitigations,
        )


def _invalid(reason: str) -> ProviderRefusal:
    return ProviderRefusal(Status.INVALID, reason)


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
