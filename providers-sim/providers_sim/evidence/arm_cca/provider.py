# SPDX-License-Identifier: MIT
"""One realm, its RMM and its platform, behind the kernel's ``arm-cca-guest`` driver."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError
from providers_sim.evidence.arm_cca.claims import (
    HASHES,
    PROFILES,
    REM_COUNT,
    PlatformClaims,
    RealmClaims,
    SwComponent,
)
from providers_sim.evidence.arm_cca.token import Outer, bind, encode_token, sign_claims
from providers_sim.evidence.cose import cose_key, encode
from providers_sim.evidence.x509_build import public_key_files
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key, public_point
from providers_sim.measurements import MeasurementRegisters
from providers_sim.options import Options, hex_size, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.report import Evidence, ReportRequest

__all__ = ["ArmCca", "ArmCcaOptions"]

_CHALLENGE = 64
_PERSONALIZATION = 64
_LIFECYCLES = {"secured": 0x3003, "non-cca-debug": 0x4002, "recoverable-debug": 0x5000}
_COMPONENTS = ("BL", "M1", "M2", "M3", "RMM")


@dataclass(frozen=True, kw_only=True)
class ArmCcaOptions(Options):
    """Options of a realm."""

    token: Literal["legacy", "cmw"] = option(
        "legacy", "Outer form of the token: tag 399 (legacy) or tag 907 (cmw)."
    )
    profile: Literal["legacy", "2023"] = option(
        "legacy", "RAK as a point (legacy), or as a COSE_Key with profile claims (2023)."
    )
    hash: Literal["sha-256", "sha-512"] = option("sha-256", "Hash of the realm's measurements.")
    rak_hash: Literal["sha-256", "sha-512"] = option(
        "sha-256", "Hash of the RAK in the platform token."
    )
    rpv: str = option("", "Realm personalization value, up to 64 bytes in hexadecimal.")
    lifecycle: Literal["secured", "non-cca-debug", "recoverable-debug"] = option(
        "secured", "Security lifecycle of the platform."
    )

    def check(self) -> None:
        """Refuse a personalization value that is too long or not hexadecimal."""
        if not 0 <= hex_size(self.rpv) <= _PERSONALIZATION:
            raise ProviderError(
                f"rpv is up to {_PERSONALIZATION} bytes in hexadecimal; not {self.rpv!r}"
            )


class ArmCca(Provider[ArmCcaOptions]):
    """One realm on a simulated platform.

    The realm and its attestation key (RAK) are derived from the seed, the platform and its key
    (CPAK) from the root. The live state is the extensible measurements and the last realm token.
    """

    id: ClassVar[str] = "arm-cca"
    kernel_name: ClassVar[str] = "arm_cca_guest"
    options_type = ArmCcaOptions
    faults: ClassVar[FaultTable] = FaultTable()
    # The driver has no visibility callback: all attributes are visible, most have no effect.
    attrs = mask(*Attr)
    bin_attrs = mask(*BinAttr)
    inblob_sizes: ClassVar[range] = range(32, _CHALLENGE + 1)
    measurements: MeasurementRegisters

    def prepare(self) -> None:
        """Derive platform and realm."""
        options, seed = self.options, self.seed
        self._cpak = derive_ec_key(options.root, "cca cpak", ec.SECP384R1())
        self._rak = derive_ec_key(seed, "cca rak", ec.SECP384R1())
        self._realm = RealmClaims(
            profile=PROFILES[options.profile][0],
            challenge=bytes(64),
            personalization=bytes.fromhex(options.rpv).ljust(_PERSONALIZATION, b"\0"),
            hash_algorithm=options.hash,
            public_key=self._rak_bytes(),
            initial_measurement=derive(seed, "cca rim", HASHES[options.hash]),
            extensible_measurements=(bytes(HASHES[options.hash]),) * REM_COUNT,
            key_hash_algorithm=options.rak_hash,
        )
        self.platform = self._platform_claims()
        self.platform_token = self.sign_platform(self.platform)

    def reset(self) -> None:
        """Set the extensible measurements to zero; there is no last realm token."""
        self.measurements = self._rems()
        self.last_realm_token = b""

    def live_state(self) -> State:
        """Return the extensible measurements and the last realm token."""
        return {"rems": self.measurements.to_state(), "last_realm": self.last_realm_token.hex()}

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace measurements and last realm token."""
        if len(state) != 2:
            raise ValueError(f"live state {dict(state)!r}")
        registers = self._rems()
        registers.restore(state["rems"])
        self.last_realm_token = bytes.fromhex(state["last_realm"])
        self.measurements = registers

    def report(self, request: ReportRequest) -> Evidence:
        """Make a token over ``request.inblob``, padded to 64 bytes."""
        self.check(request)
        self.last_realm_token = self.sign_realm(request)
        return self.join(self.platform_token, self.last_realm_token)

    def join(self, platform_token: bytes, realm_token: bytes) -> Evidence:
        """Encode two signed tokens as evidence, in the outer form of the options."""
        outer: Outer = self.options.token
        return Evidence(encode_token(outer, platform_token, realm_token))

    def sign_realm(
        self, request: ReportRequest, key: ec.EllipticCurvePrivateKey | None = None
    ) -> bytes:
        """Return the realm token for ``request``, signed with the RAK or another key."""
        claims = replace(
            self._realm,
            challenge=request.inblob.ljust(_CHALLENGE, b"\0"),
            extensible_measurements=self.measurements.values,
        )
        return sign_claims(claims, key or self._rak)

    def sign_platform(self, claims: PlatformClaims) -> bytes:
        """Return the platform token over ``claims``, signed with the CPAK."""
        return sign_claims(claims, self._cpak)

    def collateral(self) -> dict[str, bytes]:
        """Return CPAK and RAK as PEM, DER, JWK and COSE_Key, and the reference values."""
        files: dict[str, bytes] = {}
        for name, key in (("cpak", self._cpak), ("rak", self._rak)):
            files |= _key_files(name, key.public_key())
        values = {
            "implementation_id": self.platform.implementation_id.hex(),
            "instance_id": self.platform.instance_id.hex(),
            "config": self.platform.config.hex(),
            "sw_components": [
                {"type": part.type, "measurement": part.measurement.hex(),
                 "version": part.version, "signer_id": part.signer_id.hex()}
                for part in self.platform.sw_components
            ],
            "realm_initial_measurement": self._realm.initial_measurement.hex(),
            "realm_personalization_value": self._realm.personalization.hex(),
        }  # fmt: skip
        return {**files, "reference_values.json": json.dumps(values, indent=1).encode() + b"\n"}

    def _rems(self) -> MeasurementRegisters:
        # RSI_MEASUREMENT_EXTEND takes 1 to 64 bytes.
        return MeasurementRegisters("REM", REM_COUNT, self.options.hash, range(1, 65))

    def _rak_bytes(self) -> bytes:
        public = self._rak.public_key()
        if self.options.profile == "legacy":
            return b"\x04" + public_point(public)
        return encode(cose_key(public))

    def _platform_claims(self) -> PlatformClaims:
        root = self.options.root
        instance = hashlib.sha256(b"\x04" + public_point(self._cpak.public_key())).digest()
        return PlatformClaims(
            profile=PROFILES[self.options.profile][1],
            challenge=bind(self._realm),
            implementation_id=derive(root, "cca implementation", 32),
            instance_id=b"\x01" + instance,
            config=derive(root, "cca config", 32),
            lifecycle=_LIFECYCLES[self.options.lifecycle],
            sw_components=tuple(
                SwComponent(
                    type=name,
                    measurement=derive(root, f"cca {name}", 32),
                    version="1.0.0",
                    signer_id=derive(root, "cca signer", 32),
                    hash_algorithm="sha-256",
                )
                for name in _COMPONENTS
            ),
            verification_service="https://veraison.example/v1/challenge-response",
            hash_algorithm="sha-256",
        )


def _key_files(name: str, key: ec.EllipticCurvePublicKey) -> dict[str, bytes]:
    point = public_point(key)
    x, y = (
        base64.urlsafe_b64encode(half).rstrip(b"=").decode() for half in (point[:48], point[48:])
    )
    jwk = {"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": name, "alg": "ES384"}
    return {
        **public_key_files(name, key),
        f"{name}.jwk": json.dumps(jwk, indent=1).encode() + b"\n",
        f"{name}.cose": encode(cose_key(key)),
    }
