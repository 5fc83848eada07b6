# SPDX-License-Identifier: MIT
"""Descriptions of CBOR: claims by their names, and the parts of COSE_Sign1 messages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence.claim_maps import claims_of
from providers_sim.evidence.cose import loads, parse_sign1

__all__ = ["ClaimText", "add_sign1", "add_value", "claim_texts"]

_DEPTH = 12
_TAGS = {18: "COSE_Sign1", 61: "CWT", 399: "CCA token", 601: "UCCS", 907: "CCA token as CMW"}


@dataclass(frozen=True, slots=True)
class ClaimText:
    """How a value is described: its label, the texts of its members by key, its meaning.

    ``meaning`` formats an integer; other values are shown as they are.
    """

    label: str
    members: Mapping[Any, ClaimText] = field(default_factory=dict)
    meaning: Callable[[int], str] = str


def claim_texts(*kinds: type, **meanings: Callable[[int], str]) -> dict[Any, ClaimText]:
    """Return the texts of the claims that these dataclasses declare, by CBOR label.

    ``meanings`` formats integer claims by the names of their members.
    """
    return {
        claim.label: ClaimText(
            claim.name.replace("_", " "),
            claim_texts(claim.element) if claim.element not in (None, bytes) else {},
            meanings.get(claim.name, str),
        )
        for kind in kinds
        for claim in claims_of(kind)
    }


def add_value(node: Node, text: ClaimText | str, value: object, depth: int = 0) -> Node:
    """Add a decoded value; the members of maps and arrays become children."""
    text = ClaimText(text) if isinstance(text, str) else text
    if depth > _DEPTH:
        return node.add(text.label, "nested too deeply to show")
    if isinstance(value, cbor2.CBORTag):
        child = node.add(text.label, f"tag {value.tag} {_TAGS.get(value.tag, '')}".rstrip())
        add_value(child, ClaimText("value", text.members), value.value, depth + 1)
    elif isinstance(value, Mapping):
        child = node.add(text.label)
        for key, member in value.items():
            add_value(child, text.members.get(key, str(key)), member, depth + 1)
    elif isinstance(value, (list, tuple)):
        child = node.add(text.label)
        for number, member in enumerate(value):
            add_value(child, ClaimText(str(number), text.members), member, depth + 1)
    elif isinstance(value, int):
        child = node.add(text.label, text.meaning(value))
    else:
        child = node.add(text.label, bytes(value) if isinstance(value, bytearray) else value)
    return child


def add_sign1(node: Node, label: str, value: object, texts: Mapping[Any, ClaimText]) -> Node:
    """Add a decoded COSE_Sign1 with the claims of its payload; anything else as a plain value."""
    try:
        message = parse_sign1(value)
    except EvidenceError as error:
        child = add_value(node, ClaimText(label, texts), value)
        child.add("violates the specification", error)
        return child
    child = node.add(label, f"COSE_Sign1, {message.algorithm}")
    if len(message.protected) > 1 or message.unprotected:
        names = {1: ClaimText("alg"), 4: ClaimText("kid"), 33: ClaimText("x5chain")}
        add_value(child, ClaimText("protected header", names), message.protected)
        add_value(child, ClaimText("unprotected header", names), message.unprotected)
    try:
        add_value(child, ClaimText("claims", texts), loads(message.payload))
    except EvidenceError as error:
        child.add("payload", message.payload)
        child.add("violates the specification", error)
    child.add("signature", message.signature)
    return child
