# SPDX-License-Identifier: MIT
"""One TVM, its TSM and its platform, as a driver for CoVE would show them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.evidence.cose import PrivateKey, PublicKey, cose_key
from providers_sim.evidence.cove.certificate import cdi_id, issue
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
from providers_sim.evidence.cove.faults import FAULTS
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key, derive_ed25519_key
from providers_sim.options import Options, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["Cove", "CoveOptions"]

_CHALLENGE = _IDENTITY = 64
_MOST_DATA = 64
_ALGORITHMS = {"es256": -7, "es384": -35, "eddsa": -8}
_INITIAL_USED = 2
_PLATFORM_PARTS = ("root of trust firmware", "machine mode firmware")
_TSM_PARTS = ("tsm-driver", "tsm")


@dataclass(frozen=True, kw_only=True)
class CoveOptions(Options):
    """The variants of a TVM."""

    format: Literal["cbor", "x509", "evidence"] = option(
        "cbor", "Certificate form, or the bare claims set."
    )
    algorithm: Literal["es384", "es256", "eddsa"] = option("es384", "Of every signature.")
    hash: Literal["sha-384", "sha-512", "sha3-384", "sha3-512"] = option(
        "sha-384", "Of every measurement."
    )
    state: Literal["not-configured", "secured", "debug", "recovery"] = option(
        "secured", "Operational state of the platform."
    )
    identity: str = option("", "Identity of the TVM, 64 bytes in hexadecimal; empty: none.")
    registers: int = option(4, "Runtime measurement registers, 0 to 18.")

    def check(self) -> None:
        """Refuse an identity that is none, and too many registers."""
        if not 0 <= self.registers <= RUNTIME_REGISTERS:
            raise ProviderError(f"there are 0 to {RUNTIME_REGISTERS} runtime registers")
        try:
            if len(bytes.fromhex(self.identity)) in (0, _IDENTITY):
                return
        except ValueError:
            pass
        raise ProviderError(f"identity is {_IDENTITY} bytes in hexadecimal: {self.identity!r}")


class Cove(Provider[CoveOptions]):
    """One TVM on a simulated platform.

    The root of trust follows from the root alone; platform, TSM and TVM from the seed, too. The
    TVM's public key, for which the kernel's interface has no field, is the simulation's own. The
    live state is the runtime measurement registers and the last TVM token.
    """

    id: ClassVar[str] = "cove"
    kernel_name: ClassVar[str] = "cove_guest"
    options_type = CoveOptions
    faults: ClassVar[FaultTable] = FAULTS
    # The issuer of either certificate form is known from its tokens: there is no auxblob.
    attrs = mask(Attr.GENERATION, Attr.PROVIDER)
    bin_attrs = mask(BinAttr.INBLOB, BinAttr.OUTBLOB)

    def prepare(self) -> None:
        """Derive root of trust, platform, TSM and TVM; sign what does not depend on requests."""
        options, seed = self.options, self.seed
        self._algorithm = _ALGORITHMS[options.algorithm]
        self._rot = self.key("cove rot", options.root)
        self._platform = self.key("cove platform", seed)
        self._tsm = self.key("cove tsm", seed)
        self._tvm = self.key("cove tvm", seed)
        ephemeral = self.key("cove tvm ephemeral", seed).public_key()
        self._tvm_public = cbor2.dumps(cose_key(ephemeral))
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
        """Return the private key that follows from ``label`` and ``number``."""
        if self.options.algorithm == "eddsa":
            return derive_ed25519_key(number, label)
        curve = ec.SECP384R1() if self.options.algorithm == "es384" else ec.SECP256R1()
        return derive_ec_key(number, label, curve)

    def reset(self) -> None:
        """Start with registers of zeros."""
        self._runtime = [bytes(HASHES[self.options.hash])] * self.options.registers
        self._last_challenge = b""

    def live_state(self) -> State:
        """Return the runtime registers and the last challenge, in hexadecimal."""
        return {
            "runtime": [value.hex() for value in self._runtime],
            "last_challenge": self._last_challenge.hex(),
        }

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace the live state."""
        runtime = [bytes.fromhex(text) for text in state["runtime"]]
        last = bytes.fromhex(state["last_challenge"])
        sizes = [HASHES[self.options.hash]] * self.options.registers
        if (
            [len(value) for value in runtime] != sizes
            or len(last) not in (0, 64)
            or len(state) != 2
        ):
            raise ValueError("the registers have other sizes than the hash")
        self._runtime, self._last_challenge = runtime, last

    def registers(self) -> tuple[bytes, ...]:
        """Return the runtime measurement registers; the first has index 8 in evidence."""
        return tuple(self._runtime)

    def extend(self, register: int, data: bytes) -> None:
        """Set M to H(M || data), as sbi_covg_extend_measurement does with 1 to 64 bytes."""
        if not 0 <= register < len(self._runtime) or not 0 < len(data) <= _MOST_DATA:
            raise ProviderError(
                f"runtime register {register} cannot be extended with {len(data)} bytes: there "
                f"are {len(self._runtime)}, extended with 1 to {_MOST_DATA} bytes"
            )
        value = self._runtime[register] + data
        name = self.options.hash.removeprefix("sha-")
        digest = hashlib.new(f"sha{name}" if name.isdecimal() else name, value)
        self._runtime[register] = digest.digest()

    def check(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal unless the challenge has 64 bytes (INVALID)."""
        if len(request.inblob) != _CHALLENGE:
            raise ProviderRefusal(
                Status.INVALID, f"inblob has {len(request.inblob)} bytes, not {_CHALLENGE}"
            )

    def report(self, request: ReportRequest) -> Evidence:
        """Make evidence over ``request.inblob``."""
        self.check(request)
        self._last_challenge = request.inblob
        return self.assemble(self.tokens(request.inblob))

    def tokens(
        self,
        challenge: bytes,
        *,
        tsm_signer: PrivateKey | None = None,
        tvm_signer: PrivateKey | None = None,
    ) -> tuple[Token, Token, Token]:
        """Return the three tokens; the signers replace the platform's key and the TSM's."""
        tsm = self._tsm_token
        if tsm_signer is not None:
            tsm = sign_token(self._tsm_claims(), tsm_signer, self._algorithm)
        claims = self._tvm_claims(challenge)
        tvm = sign_token(claims, tvm_signer or self._tsm, self._algorithm)
        return self._platform_token, tsm, tvm

    def assemble(self, tokens: tuple[Token, Token, Token]) -> Evidence:
        """Put tokens into the form asked for."""
        form: Form = self.options.format
        if form == "evidence":
            return Evidence(encode_evidence(tokens))
        if form == "x509":
            return Evidence(issue(self._tvm.public_key(), self._tsm, encode_uccs(tokens)))
        issuer, subject = (cdi_id(key.public_key()).hex() for key in (self._tsm, self._tvm))
        return Evidence(encode_certificate(tokens, issuer, subject, self._tsm, self._algorithm))

    @property
    def last_challenge(self) -> bytes:
        """The challenge of the last evidence, empty before the first."""
        return self._last_challenge

    def collateral(self) -> dict[str, bytes]:
        """Return the keys of root of trust, platform, TSM and TVM: PEM, DER and COSE_Key."""
        keys = {"rot": self._rot, "platform": self._platform, "tsm": self._tsm, "tvm": self._tvm}
        files: dict[str, bytes] = {}
        for name, key in keys.items():
            files |= _key_files(name, key.public_key())
        return files

    def _platform_claims(self) -> PlatformClaims:
        return PlatformClaims(
            profile=PROFILE,
            public_key=cbor2.dumps(cose_key(self._platform.public_key())),
            manufacturer_id=derive(self.options.root, "cove manufacturer", 64),
            state=STATES[self.options.state],
            sw_components=tuple(self._component(name) for name in _PLATFORM_PARTS),
        )

    def _tsm_claims(self) -> TsmClaims:
        return TsmClaims(
            public_key=cbor2.dumps(cose_key(self._tsm.public_key())),
            sw_components=tuple(self._component(name) for name in _TSM_PARTS),
        )

    def _tvm_claims(self, challenge: bytes) -> TvmClaims:
        runtime = tuple(
            Measurement(register=number, value=value, hash_algorithm=self.options.hash)
            for number, value in enumerate(self._runtime, start=INITIAL_REGISTERS)
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


def _key_files(name: str, key: PublicKey) -> dict[str, bytes]:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return {
        f"{name}.pem": key.public_bytes(serialization.Encoding.PEM, spki),
        f"{name}.der": key.public_bytes(serialization.Encoding.DER, spki),
        f"{name}.cose": cbor2.dumps(cose_key(key)),
    }
