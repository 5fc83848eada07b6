# SPDX-License-Identifier: MIT
"""CBOR for people: claims by their names, COSE_Sign1 messages taken apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cbor2

from providers_sim.description import Node
from providers_sim.errors import EvidenceError
from providers_sim.evidence.cose import parse_sign1

__all__ = ["Names", "add_sign1", "add_value", "loads"]

Names = Mapping[Any, str]
"""What the keys of a map mean; others are shown as they are."""

_DEPTH = 12
_TAGS = {18: "COSE_Sign1", 61: "CWT", 399: "CCA token", 601: "UCCS", 907: "CCA token as CMW"}


def loads(data: bytes) -> Any:  # noqa: ANN401 - CBOR can be anything
    """Decode CBOR however it is written; EvidenceError when it is none."""
    try:
        return cbor2.loads(data)
    except Exception as error:  # tags bring in parsers of dates, MIME and regular expressions
        raise EvidenceError(f"this is no CBOR: {error}") from error


def add_value(node: Node, label: str, value: object, names: Names, depth: int = 0) -> Node:
    """Add a decoded value under ``label``; maps and arrays become parts."""
    if depth > _DEPTH:
        return node.add(label, "nested too deeply to show")
    if isinstance(value, cbor2.CBORTag):
        part = node.add(label, f"tag {value.tag} {_TAGS.get(value.tag, '')}".rstrip())
        add_value(part, "value", value.value, names, depth + 1)
    elif isinstance(value, Mapping):
        part = node.add(label)
        for key, member in value.items():
            add_value(part, names.get(key, str(key)), member, names, depth + 1)
    elif isinstance(value, (list, tuple)):
        part = node.add(label)
        for number, member in enumerate(value):
            add_value(part, str(number), member, names, depth + 1)
    else:
        part = node.add(label, bytes(value) if isinstance(value, (bytes, bytearray)) else value)
    return part


def add_sign1(node: Node, label: str, value: object, names: Names) -> Node:
    """Add a decoded COSE_Sign1 with its payload's claims, or what there is instead."""
    try:
        message = parse_sign1(value)
    except EvidenceError as error:
        part = add_value(node, label, value, names)
        part.add("violates the specification", error)
        return part
    part = node.add(label, f"COSE_Sign1, {message.algorithm}")
    if len(message.protected) > 1 or message.unprotected:
        add_value(part, "protected header", message.protected, {1: "alg", 4: "kid"})
        add_value(part, "unprotected header", message.unprotected, {4: "kid", 33: "x5chain"})
    try:
        add_value(part, "claims", loads(message.payload), names)
    except EvidenceError as error:
        part.add("payload", message.payload)
        part.add("violates the specification", error)
    part.add("signature", message.signature)
    return part
