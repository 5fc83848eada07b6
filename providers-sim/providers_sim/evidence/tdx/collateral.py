# SPDX-License-Identifier: MIT
"""Collateral of TD quotes, as Intel's Provisioning Certification Service provides it.

TCB info (id TDX, version 3) and QE identity (id TD_QE, version 2), each signed over the exact
text of its inner JSON object; the issuers' certificates, and both revocation lists (Intel, PCS
API version 4). ``collateral.json`` has everything in the form of QuoteCollateralV3.
"""

from __future__ import annotations

import json
from typing import Literal

from cryptography.hazmat.primitives import hashes, serialization

from providers_sim.evidence.tdx.pki import (
    FMSPC,
    PCE_ID,
    PCE_SVN,
    SGX_TCB_COMPONENTS,
    Authority,
)
from providers_sim.evidence.tdx.quote import QeReport
from providers_sim.keys import sign_raw

__all__ = ["TcbStatus", "make_collateral"]

TcbStatus = Literal[
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
]

_ISSUED, _NEXT = "2024-01-01T00:00:00Z", "2049-12-31T23:59:59Z"
_EVALUATION = 17
_ATTRIBUTES_MASK = "FBFFFFFFFFFFFFFF0000000000000000"
_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER


def make_collateral(
    authority: Authority, status: TcbStatus, tee_tcb_svn: bytes, qe: QeReport
) -> dict[str, bytes]:
    """Return the collateral by file name, such that a verifier arrives at ``status``."""
    tcb_info = _compact(_tcb_info(status, tee_tcb_svn))
    qe_identity = _compact(_qe_identity(qe))
    chain = b"".join(c.public_bytes(_PEM) for c in (authority.tcb_signing, authority.root))
    pck_issuers = b"".join(c.public_bytes(_PEM) for c in (authority.platform_ca, authority.root))
    root_crl, pck_crl = (crl.public_bytes(_DER) for crl in (authority.root_crl, authority.pck_crl))
    signatures = {
        name: sign_raw(authority.tcb_signing_key, text.encode(), hashes.SHA256()).hex()
        for name, text in (("tcb_info", tcb_info), ("qe_identity", qe_identity))
    }
    whole = {
        "pck_crl_issuer_chain": pck_issuers.decode(),
        "root_ca_crl": root_crl.hex(),
        "pck_crl": pck_crl.hex(),
        "tcb_info_issuer_chain": chain.decode(),
        "tcb_info": tcb_info,
        "tcb_info_signature": signatures["tcb_info"],
        "qe_identity_issuer_chain": chain.decode(),
        "qe_identity": qe_identity,
        "qe_identity_signature": signatures["qe_identity"],
    }
    return {
        "collateral.json": _compact(whole).encode(),
        "tcb_info.json": _signed("tcbInfo", tcb_info, signatures["tcb_info"]),
        "qe_identity.json": _signed("enclaveIdentity", qe_identity, signatures["qe_identity"]),
        "tcb_signing_chain.pem": chain,
        "root_ca.crl": root_crl,
        "pck.crl": pck_crl,
    }


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _signed(name: str, text: str, signature: str) -> bytes:
    """Wrap ``text`` as the service does, without changing a byte of it."""
    return f'{{"{name}":{text},"signature":"{signature}"}}'.encode()


def _tcb_info(status: TcbStatus, tee_tcb_svn: bytes) -> dict[str, object]:
    major = tee_tcb_svn[1]
    levels = [_tcb_level(status, tee_tcb_svn, newer=0)]
    if status != "UpToDate":
        levels.insert(0, _tcb_level("UpToDate", tee_tcb_svn, newer=1))
    module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
    identity = {
        "id": f"TDX_{major:02X}",
        **module,
        "tcbLevels": [_level({"isvsvn": tee_tcb_svn[0]}, "UpToDate")],
    }
    return {
        "id": "TDX",
        "version": 3,
        "issueDate": _ISSUED,
        "nextUpdate": _NEXT,
        "fmspc": FMSPC.hex().upper(),
        "pceId": PCE_ID.hex(),
        "tcbType": 0,
        "tcbEvaluationDataNumber": _EVALUATION,
        "tdxModule": module,
        "tdxModuleIdentities": [identity] if major else [],
        "tcbLevels": levels,
    }


def _tcb_level(status: TcbStatus, tee_tcb_svn: bytes, *, newer: int) -> dict[str, object]:
    first, *others = SGX_TCB_COMPONENTS
    components = [first + newer, *others]
    tcb: dict[str, object] = {
        "sgxtcbcomponents": [{"svn": svn} for svn in components],
        "pcesvn": PCE_SVN,
        "tdxtcbcomponents": [{"svn": svn} for svn in tee_tcb_svn],
    }
    return _level(tcb, status)


def _qe_identity(qe: QeReport) -> dict[str, object]:
    masked = bytes(
        a & m for a, m in zip(qe.attributes, bytes.fromhex(_ATTRIBUTES_MASK), strict=True)
    )
    return {
        "id": "TD_QE",
        "version": 2,
        "issueDate": _ISSUED,
        "nextUpdate": _NEXT,
        "tcbEvaluationDataNumber": _EVALUATION,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": masked.hex().upper(),
        "attributesMask": _ATTRIBUTES_MASK,
        "mrsigner": qe.mr_signer.hex().upper(),
        "isvprodid": qe.isv_prod_id,
        "tcbLevels": [_level({"isvsvn": qe.isv_svn}, "UpToDate")],
    }


def _level(tcb: dict[str, object], status: TcbStatus) -> dict[str, object]:
    return {"tcb": tcb, "tcbDate": _ISSUED, "tcbStatus": status}
