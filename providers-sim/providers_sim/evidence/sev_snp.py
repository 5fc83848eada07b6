# SPDX-License-Identifier: MIT
"""AMD SEV-SNP, as a guest on Milan sees it through the kernel's ``sev-guest`` driver."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import EvidenceError, ProviderRefusal
from providers_sim.evidence.sev_snp_pki import Authority, make_authority, make_vcek
from providers_sim.evidence.sev_snp_report import AttestationReport, Tcb, encode_report
from providers_sim.pki_store import PkiStore
from providers_sim.provider import Attr, BinAttr, Provider, State, derive, mask
from providers_sim.wire.constants import Status
from providers_sim.wire.report import Evidence, ReportRequest

__all__ = ["PROVIDER", "SevSnp", "certificate_table", "parse_certificate_table"]

_GUID_VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd")
_GUID_ASK = UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782")
_GUID_ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")
_TABLE_ENTRY = 24

_P384_ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)
_INBLOB_SIZE = 64
_MAX_VMPL = 3
_POLICY = 0x3_0000  # SMT allowed, and the bit that must be 1; no debugging
_SMT_ENABLED = 0x1
_TCB = Tcb(boot_loader=3, tee=0, snp=20, microcode=209)
_MILAN_CPUID = bytes((0x19, 0x01, 0x01))
_FIRMWARE = bytes((21, 55, 1))
_VERSIONS = (2, 3, 5)
_CPUID_VERSION = 3
_AUTHORITY_FILES = tuple(field.name for field in fields(Authority))


class SevSnp(Provider):
    """One guest at VMPL ``vmpl`` on one simulated chip; both follow from ``seed``."""

    id: ClassVar[str] = "sev-snp"
    kernel_name: ClassVar[str] = "sev_guest"
    attrs: ClassVar[int] = mask(
        Attr.GENERATION, Attr.PROVIDER, Attr.PRIVLEVEL, Attr.PRIVLEVEL_FLOOR
    )
    bin_attrs: ClassVar[int] = mask(BinAttr.INBLOB, BinAttr.OUTBLOB, BinAttr.AUXBLOB)

    def __init__(
        self, *, seed: int = 0, pki_dir: Path | None = None, version: int = 3, vmpl: int = 0
    ) -> None:
        self._store = PkiStore(pki_dir)
        self.set_state({"seed": seed, "version": version, "vmpl": vmpl, "certificates": True})

    def get_state(self) -> State:
        """Return the seed, the report version, the guest's VMPL, whether there are certificates."""
        return dict(self._state)

    def set_state(self, state: Mapping[str, object]) -> None:
        """Become the guest that ``state`` describes; its VCEK is made if it does not exist."""
        match dict(state):
            case {
                "seed": int(seed),
                "version": int(version),
                "vmpl": int(vmpl),
                "certificates": bool(certificates),
                **rest,
            } if not rest and version in _VERSIONS and 0 <= vmpl <= _MAX_VMPL:
                pass
            case _:
                raise EvidenceError(f"this is no state of {self.id}: {dict(state)!r}")
        self._state = dict(state)
        self.privlevel_floor = vmpl
        self._version = version
        self._certificates = certificates
        self._guest(seed)

    def report(self, request: ReportRequest) -> Evidence:
        """Sign a report over ``request.inblob``; INVALID where firmware or driver refuse.

        The driver wants exactly 64 bytes and, without an SVSM, no service provider; firmware
        refuses a VMPL more privileged than the guest's own.
        """
        if len(request.inblob) != _INBLOB_SIZE:
            raise ProviderRefusal(
                Status.INVALID, f"inblob has {len(request.inblob)} bytes, not {_INBLOB_SIZE}"
            )
        if request.service_provider is not None:
            raise ProviderRefusal(Status.INVALID, "there is no SVSM to provide a service")
        if not self.privlevel_floor <= request.privlevel <= _MAX_VMPL:
            raise ProviderRefusal(
                Status.INVALID,
                f"VMPL {request.privlevel} is not within {self.privlevel_floor}..{_MAX_VMPL}",
            )
        outblob = encode_report(self._body(request), self._vcek_key)
        return Evidence(outblob, self._table if self._certificates else b"")

    def collateral(self) -> dict[str, bytes]:
        """Return ARK, ASK, VCEK and CRL in DER, and the chain as AMD's service gives it in PEM."""
        pem = serialization.Encoding.PEM
        chain = (self._authority.ask, self._authority.ark)
        return {
            "ark.der": self._authority.ark,
            "ask.der": self._authority.ask,
            "vcek.der": self._vcek,
            "crl.der": self._authority.crl,
            "cert_chain.pem": b"".join(
                x509.load_der_x509_certificate(der).public_bytes(pem) for der in chain
            ),
        }

    def _guest(self, seed: int) -> None:
        """Derive chip, key and guest from ``seed`` and fetch their certificates."""
        self._chip_id = derive(seed, "chip id", 64)
        self._measurement = derive(seed, "measurement", 48)
        self._report_id = derive(seed, "report id", 32)
        scalar = int.from_bytes(derive(seed, "vcek", 64), "big") % (_P384_ORDER - 1) + 1
        self._vcek_key = ec.derive_private_key(scalar, ec.SECP384R1())
        self._authority = Authority(
            *self._store.get("sev-snp", lambda: asdict(make_authority()), *_AUTHORITY_FILES)
        )
        chip = hashlib.sha256(self._chip_id + self._authority.ask).hexdigest()[:32]
        public_key = self._vcek_key.public_key()
        (self._vcek,) = self._store.get(
            f"sev-snp-{chip}",
            lambda: {"vcek": make_vcek(self._authority, public_key, self._chip_id, _TCB)},
            "vcek",
        )
        self._table = certificate_table(
            [
                (_GUID_VCEK, self._vcek),
                (_GUID_ASK, self._authority.ask),
                (_GUID_ARK, self._authority.ark),
            ]
        )

    def _body(self, request: ReportRequest) -> AttestationReport:
        tcb = _TCB.encode()
        return AttestationReport(
            version=self._version,
            policy=_POLICY,
            vmpl=request.privlevel,
            current_tcb=tcb,
            platform_info=_SMT_ENABLED,
            report_data=request.inblob,
            measurement=self._measurement,
            report_id=self._report_id,
            reported_tcb=tcb,
            cpuid=_MILAN_CPUID if self._version >= _CPUID_VERSION else bytes(3),
            chip_id=self._chip_id,
            committed_tcb=tcb,
            current=_FIRMWARE,
            committed=_FIRMWARE,
            launch_tcb=tcb,
        )


PROVIDER = SevSnp


def certificate_table(entries: list[tuple[UUID, bytes]]) -> bytes:
    """Encode the table of an extended report: entries, an all-zero entry, then the contents.

    An entry is a GUID in textual byte order, offset u32 from the table's start, length u32
    (AMD, GHCB specification, document 56421, SNP Extended Guest Request).
    """
    offset = _TABLE_ENTRY * (len(entries) + 1)
    head = b""
    for guid, content in entries:
        head += guid.bytes + offset.to_bytes(4, "little") + len(content).to_bytes(4, "little")
        offset += len(content)
    return head + bytes(_TABLE_ENTRY) + b"".join(content for _, content in entries)


def parse_certificate_table(table: bytes) -> dict[UUID, bytes]:
    """Decode such a table; EvidenceError when it has no end or an entry lies outside it."""
    found: dict[UUID, bytes] = {}
    for pos in range(0, len(table) - _TABLE_ENTRY + 1, _TABLE_ENTRY):
        entry = table[pos : pos + _TABLE_ENTRY]
        if not any(entry):
            return found
        offset, length = (
            int.from_bytes(entry[16:20], "little"),
            int.from_bytes(entry[20:], "little"),
        )
        if offset + length > len(table):
            raise EvidenceError(f"certificate {UUID(bytes=entry[:16])} lies outside its table")
        found[UUID(bytes=entry[:16])] = table[offset : offset + length]
    raise EvidenceError("the certificate table has no end")
