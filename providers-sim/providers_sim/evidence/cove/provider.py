# SPDX-License-Identifier: MIT
"""One TVM, its TSM and its platform, behind a driver for CoVE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError
from providers_sim.evidence.cose import PrivateKey, cose_key, encode
from providers_sim.evidence.cove.certificate import cdi_id, issue_certificate
from providers_sim.evidence.cove.claims import (
    HASHES,
    INITIAL_REGISTERS,
    PROFILE,
    RUNTIME_REGISTERS,
    STATES,
    Component,
    Measurement,
    PlatformClaims,
    TsmClaims,
    TvmClaims,
)
from providers_sim.evidence.cove.evidence import (
    Form,
    Token,
    encode_certificate,
    encode_evidence,
    encode_uccs,
    sign_token,
)
from providers_sim.evidence.x509_build import public_key_files
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key, derive_ed25519_key
from providers_sim.measurements import MeasurementRegisters
from providers_sim.options import Options, hex_size, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.report import Evidence, ReportRequest

__all__ = ["Cove", "CoveOptions"]

_IDENTITY = 64
_ALGORITHMS = {"es256": -7, "es384": -35, "eddsa": -8}
_INITIAL_USED = 2
_PLATFORM_PARTS = ("root of trust firmware", "machine mode firmware")
_TSM_PARTS = ("tsm-driver", "tsm")


@dataclass(frozen=True, kw_only=True)
class CoveOptions(Options):
    """Options of a TVM."""

    format: Literal["cbor", "x509", "evidence"] = option(
        "cbor", "Form of the evidence: a CBOR or X.509 certificate, or the bare tokens (evidence)."
    )
    algorithm: Literal["es384", "es256", "eddsa"] = option("es384", "Algorithm of all signatures.")
    hash: Literal["sha-384", "sha-512", "sha3-384", "sha3-512"] = option(
        "sha-384", "Hash of all measurements."
    )
    state: Literal["not-configured", "secured", "debug", "recovery"] = option(
        "secured", "Operational state of the platform."
    )
    identity: str = option("", "Identity of the TVM, 64 bytes in hexadecimal; empty: none.")
    registers: int = option(4, "Number of runtime measurement registers, 0 to 18.")

    def check(self) -> None:
        """Refuse an identity that is not 64 bytes in hexadecimal, and too many registers."""
        if not 0 <= self.registers <= RUNTIME_REGISTERS:
            raise ProviderError(f"registers is 0 to {RUNTIME_REGISTERS}; not {self.registers}")
        if hex_size(self.identity) not in (0, _IDENTITY):
            raise ProviderError(
                f"identity is {_IDENTITY} bytes in hexadecimal; not {self.identity!r}"
            )


class Cove(Provider[CoveOptions]):
    """One TVM on a simulated platform.

    The root of trust is derived from the root, platform, TSM and TVM from the seed. So is the
    TVM's public key, for which the kernel's interface has no field. The live state is the runtime
    measurement registers and the last challenge.
    """

    id: ClassVar[str] = "cove"
    kernel_name: ClassVar[str] = "cove_guest"
    options_type = CoveOptions
    faults: ClassVar[FaultTable] = FaultTable()
    # A verifier finds the issuer of a certificate in its tokens, so there is no auxblob.
    attrs = mask(Attr.GENERATION, Attr.PROVIDER)
    bin_attrs = mask(BinAttr.INBLOB, BinAttr.OUTBLOB)
    inblob_sizes: ClassVar[range] = range(64, 65)
    measurements: MeasurementRegisters

    def prepare(self) -> None:
        """Derive root of trust, platform, TSM and TVM; sign the platform and TSM tokens."""
        options, seed = self.options, self.seed
        self._algorithm = _ALGORITHMS[options.algorithm]
        self._rot = self.key("cove rot", options.root)
        self._platform = self.key("cove platform", seed)
        self._tsm = self.key("cove tsm", seed)
        self._tvm = self.key("cove tvm", seed)
        ephemeral = self.key("cove tvm ephemeral", seed).public_key()
        self._tvm_public = encode(cose_key(ephemeral))
        size = HASHES[options.hash]
        self._initial = tuple(
            Measurement(
                register=number,
                value=derive(seed, f"cove initial {number}", size),
                hash_algorithm=options.hash,
            )
            for number in range(_INITIAL_USED)
        )
        self._platform_token = sign_token(
            self._platform_claims(),
            self._rot,
            self._algorithm,
            kid=cdi_id(self._rot.public_key()),
        )
        self._tsm_token = sign_token(self._tsm_claims(), self._platform, self._algorithm)

    def key(self, label: str, number: int) -> PrivateKey:
        """Derive a private key for the algorithm of the options."""
        if self.options.algorithm == "eddsa":
            return derive_ed25519_key(number, label)
        curve = ec.SECP384R1() if self.options.algorithm == "es384" else ec.SECP256R1()
        return derive_ec_key(number, label, curve)

    def reset(self) -> None:
        """Set the registers to zero; there is no last challenge."""
        self.measurements = self._registers()
        self.last_challenge = b""

    def live_state(self) -> State:
        """Return the runtime registers and the last challenge."""
        return {
            "runtime": self.measurements.to_state(),
            "last_challenge": self.last_challenge.hex(),
        }

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace registers and last challenge."""
        last = bytes.fromhex(state["last_challenge"])
        if len(last) not in (0, 64) or len(state) != 2:
            raise ValueError(f"live state {dict(state)!r}")
        registers = self._registers()
        registers.restore(state["runtime"])
        self.measurements, self.last_challenge = registers, last

    def report(self, request: ReportRequest) -> Evidence:
        """Make evidence over ``request.inblob``."""
        self.check(request)
        self.last_challenge = request.inblob
        return self.assemble(self.tokens(request.inblob))

    def tokens(
        self,
        challenge: bytes,
        *,
        tsm_signer: PrivateKey | None = None,
        tvm_signer: PrivateKey | None = None,
    ) -> tuple[Token, Token, Token]:
        """Return the three tokens; the arguments replace the keys that sign the last two."""
        tsm = self._tsm_token
        if tsm_signer is not None:
            tsm = sign_token(self._tsm_claims(), tsm_signer, self._algorithm)
        claims = self._tvm_claims(challenge)
        tvm = sign_token(claims, tvm_signer or self._tsm, self._algorithm)
        return self._platform_token, tsm, tvm

    def assemble(self, tokens: tuple[Token, Token, Token]) -> Evidence:
        """Encode tokens as evidence, in the form of the options."""
        form: Form = self.options.format
        if form == "evidence":
            return Evidence(encode_evidence(tokens))
        if form == "x509":
            return Evidence(
                issue_certificate(self._tvm.public_key(), self._tsm, encode_uccs(tokens))
            )
        issuer, subject = (cdi_id(key.public_key()).hex() for key in (self._tsm, self._tvm))
        return Evidence(encode_certificate(tokens, issuer, subject, self._tsm, self._algorithm))

    def collateral(self) -> dict[str, bytes]:
        """Return the keys of root of trust, platform, TSM and TVM: PEM, DER and COSE_Key."""
        keys = {"rot": self._rot, "platform": self._platform, "tsm": self._tsm, "tvm": self._tvm}
        files: dict[str, bytes] = {}
        for name, key in keys.items():
            public = key.public_key()
            files |= public_key_files(name, public)
            files[f"{name}.cose"] = encode(cose_key(public))
        return files

    def _registers(self) -> MeasurementRegisters:
        # sbi_covg_extend_measurement takes 1 to 64 bytes.
        name, options = "runtime register", self.options
        return MeasurementRegisters(name, options.registers, options.hash, range(1, 65))

    def _platform_claims(self) -> PlatformClaims:
        return PlatformClaims(
            profile=PROFILE,
            public_key=encode(cose_key(self._platform.public_key())),
            manufacturer_id=derive(self.options.root, "cove manufacturer", 64),
            state=STATES[self.options.state],
            sw_components=tuple(self._component(name) for name in _PLATFORM_PARTS),
        )

    def _tsm_claims(self) -> TsmClaims:
        return TsmClaims(
            public_key=encode(cose_key(self._tsm.public_key())),
            sw_components=tuple(self._component(name) for name in _TSM_PARTS),
        )

    def _tvm_claims(self, challenge: bytes) -> TvmClaims:
        runtime = tuple(
            Measurement(register=number, value=value, hash_algorithm=self.options.hash)
            for number, value in enumerate(self.measurements.values, start=INITIAL_REGISTERS)
        )
        return TvmClaims(
            challenge=challenge,
            identity=bytes.fromhex(self.options.identity) or None,
            public_key=self._tvm_public,
            initial_measurements=self._initial,
            runtime_measurements=runtime or None,
        )

    def _component(self, name: str) -> Component:
        root, size = self.options.root, HASHES[self.options.hash]
        return Component(
            type=name,
            measurement=derive(root, f"cove component {name}", size),
            svn="1",
            signer=derive(root, "cove component signer", size),
            hash_algorithm=self.options.hash,
        )
