# SPDX-License-Identifier: MIT
"""Descriptions of CCA tokens of either outer form and profile."""

from __future__ import annotations

import cbor2

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence.arm_cca.claims import PlatformClaims, RealmClaims
from providers_sim.evidence.arm_cca.token import (
    CMW_TAG,
    LEGACY_TAG,
    PLATFORM_TOKEN,
    REALM_TOKEN,
    parse_token,
)
from providers_sim.evidence.cbor_text import add_sign1, add_value, claim_texts
from providers_sim.evidence.cose import loads

__all__ = ["describe"]

_STARTS = {bytes((0xD9,)) + tag.to_bytes(2, "big") for tag in (LEGACY_TAG, CMW_TAG)}
_TOKENS = {PLATFORM_TOKEN: "platform token", REALM_TOKEN: "realm token"}
_LIFECYCLES = (
    (0x0000, "unknown"),
    (0x1000, "assembly and test"),
    (0x2000, "CCA platform RoT provisioning"),
    (0x3000, "secured"),
    (0x4000, "non-CCA-platform RoT debug"),
    (0x5000, "recoverable CCA platform RoT debug"),
    (0x6000, "decommissioned"),
)


def describe(blob: bytes) -> Node | None:
    """Describe a CCA token; None for anything else."""
    if blob[:3] not in _STARTS:
        return None
    tag = int.from_bytes(blob[1:3], "big")
    node = Node("Arm CCA token", f"tag {tag}, {len(blob)} bytes")
    node.add_violation(parse_token, blob)
    try:
        value = loads(blob)
    except EvidenceError:
        return node
    tokens = value.value if isinstance(value, cbor2.CBORTag) else None
    if not isinstance(tokens, dict):
        add_value(node, "value", value)
        return node
    for label, token in tokens.items():
        _add_token(node, _TOKENS.get(label, str(label)), token)
    return node


def _add_token(node: Node, label: str, token: object) -> None:
    encoded = token[1] if isinstance(token, list) and len(token) == 2 else token
    if not isinstance(encoded, bytes):
        add_value(node, label, token)
        return
    try:
        add_sign1(node, label, loads(encoded), _TEXTS)
    except EvidenceError as error:
        node.add(label, error)


def _lifecycle(value: int) -> str:
    names = [name for start, name in _LIFECYCLES if start <= value < start + 0x100]
    return f"{value:#06x} ({names[0] if names else 'not in a defined range'})"


_TEXTS = claim_texts(PlatformClaims, RealmClaims, lifecycle=_lifecycle)
