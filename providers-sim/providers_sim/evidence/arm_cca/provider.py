# SPDX-License-Identifier: MIT
"""One realm, its RMM and its platform, seen through the kernel's ``arm-cca-guest`` driver."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.evidence.arm_cca.claims import (
    HASHES,
    PROFILES,
    REM_COUNT,
    PlatformClaims,
    RealmClaims,
    SwComponent,
)
from providers_sim.evidence.arm_cca.faults import FAULTS
from providers_sim.evidence.arm_cca.token import Outer, bind, encode_token, sign_claims
from providers_sim.evidence.cose import cose_key
from providers_sim.fault_table import FaultTable
from providers_sim.keys import derive, derive_ec_key, public_point
from providers_sim.options import Options, option
from providers_sim.provider import Attr, BinAttr, Provider, State, mask
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["ArmCca", "ArmCcaOptions"]

_SHORTEST, _LONGEST = 32, 64
_PERSONALIZATION = 64
_LIFECYCLES = {"secured": 0x3003, "non-cca-debug": 0x4002, "recoverable-debug": 0x5000}
_COMPONENTS = ("BL", "M1", "M2", "M3", "RMM")


@dataclass(frozen=True, kw_only=True)
class ArmCcaOptions(Options):
    """The variants of a realm."""

    token: Literal["legacy", "cmw"] = option("legacy", "Outer form: tag 399, or tag 907 (CMW).")
    profile: Literal["legacy", "2023"] = option(
        "legacy", "RAK as a point, or as a COSE_Key with profile claims."
    )
    hash: Literal["sha-256", "sha-512"] = option("sha-256", "Of the realm's measurements.")
    rak_hash: Literal["sha-256", "sha-512"] = option("sha-256", "That binds RAK and platform.")
    rpv: str = option("", "Realm personalization value, up to 64 bytes in hexadecimal.")
    lifecycle: Literal["secured", "non-cca-debug", "recoverable-debug"] = option(
        "secured", "Security lifecycle of the platform."
    )

    def check(self) -> None:
        """Refuse a personalization value that is none."""
        try:
            if len(bytes.fromhex(self.rpv)) <= _PERSONALIZATION:
                return
        except ValueError:
            pass
        raise ProviderError(f"rpv is up to {_PERSONALIZATION} bytes in hexadecimal: {self.rpv!r}")


class ArmCca(Provider[ArmCcaOptions]):
    """One realm on a simulated platform.

    The realm and its attestation key (RAK) follow from the seed, the platform and its key (CPAK)
    from the root. The live state is the extensible measurements and the last realm token.
    """

    id: ClassVar[str] = "arm-cca"
    kernel_name: ClassVar[str] = "arm_cca_guest"
    options_type = ArmCcaOptions
    faults: ClassVar[FaultTable] = FAULTS
    # The driver has no visibility callback: everything shows, most of it without effect.
    attrs = mask(*Attr)
    bin_attrs = mask(*BinAttr)

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
        self._platform_token = self.sign_platform(self.platform)

    def reset(self) -> None:
        """Start with measurements of zeros."""
        self._rems = [bytes(HASHES[self.options.hash])] * REM_COUNT
        self._last_realm = b""

    def live_state(self) -> State:
        """Return the extensible measurements and the last realm token, in hexadecimal."""
        return {"rems": [rem.hex() for rem in self._rems], "last_realm": self._last_realm.hex()}

    def restore_live(self, state: Mapping[str, Any]) -> None:
        """Replace the live state."""
        rems = [bytes.fromhex(text) for text in state["rems"]]
        size = HASHES[self.options.hash]
        if [len(rem) for rem in rems] != [size] * REM_COUNT or len(state) != 2:
            raise ValueError(f"{REM_COUNT} measurements have {size} bytes each")
        self._last_realm = bytes.fromhex(state["last_realm"])
        self._rems = rems

    def registers(self) -> tuple[bytes, ...]:
        """Return the realm extensible measurements, REM[0] to REM[3]."""
        return tuple(self._rems)

    def extend(self, register: int, data: bytes) -> None:
        """Set REM to HASH(REM || data), as RSI_MEASUREMENT_EXTEND does with 1 to 64 bytes."""
        if not 0 <= register < REM_COUNT or not 0 < len(data) <= _LONGEST:
            raise ProviderError(
                f"REM[{register}] cannot be extended with {len(data)} bytes: "
                f"there are {REM_COUNT}, extended with 1 to {_LONGEST} bytes"
            )
        name = self.options.hash.replace("-", "")
        self._rems[register] = hashlib.new(name, self._rems[register] + data).digest()

    def check(self, request: ReportRequest) -> None:
        """Raise ProviderRefusal unless the driver would take the request: 32 to 64 bytes."""
        if not _SHORTEST <= len(request.inblob) <= _LONGEST:
            raise ProviderRefusal(
                Status.INVALID,
                f"inblob has {len(request.inblob)} bytes, not {_SHORTEST} to {_LONGEST}",
            )

    def report(self, request: ReportRequest) -> Evidence:
        """Make a token over ``request.inblob``, padded to 64 bytes."""
        self.check(request)
        self._last_realm = self.sign_realm(request)
        return self.join(self._platform_token, self._last_realm)

    def join(self, platform_token: bytes, realm_token: bytes) -> Evidence:
        """Put two signed tokens together."""
        outer: Outer = self.options.token
        return Evidence(encode_token(outer, platform_token, realm_token))

    def sign_realm(
        self, request: ReportRequest, key: ec.EllipticCurvePrivateKey | None = None
    ) -> bytes:
        """Return the realm token for ``request``, signed with the RAK or another key."""
        claims = replace(
            self._realm,
            challenge=request.inblob.ljust(_LONGEST, b"\0"),
            extensible_measurements=tuple(self._rems),
        )
        return sign_claims(claims, key or self._rak)

    def sign_platform(self, claims: PlatformClaims) -> bytes:
        """Return the platform token over ``claims``, signed with the CPAK."""
        return sign_claims(claims, self._cpak)

    @property
    def platform_token(self) -> bytes:
        """The platform token, which is made once."""
        return self._platform_token

    @property
    def last_realm_token(self) -> bytes:
        """The last realm token made, empty before the first."""
        return self._last_realm

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

    def _rak_bytes(self) -> bytes:
        public = self._rak.public_key()
        if self.options.profile == "legacy":
            return b"\x04" + public_point(public)
        encoded: bytes = cbor2.dumps(cose_key(public))
        return encoded

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
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    point = public_point(key)
    x, y = (base64.urlsafe_b64encode(half).rstrip(b"=").decode() for half in
            (point[:48], point[48:]))  # fmt: skip
    jwk = {"kty": "EC", "crv": "P-384", "x": x, "y": y, "kid": name, "alg": "ES384"}
    return {
        f"{name}.pem": key.public_bytes(serialization.Encoding.PEM, spki),
        f"{name}.der": key.public_bytes(serialization.Encoding.DER, spki),
        f"{name}.jwk": json.dumps(jwk, indent=1).encode() + b"\n",
        f"{name}.cose": cbor2.dumps(cose_key(key)),
    }
