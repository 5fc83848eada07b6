# SPDX-License-Identifier: MIT
"""Dataclasses to CBOR maps of labelled claims and back, strictly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from providers_sim.errors import EvidenceError

__all__ = ["claim_list", "claim_map", "members", "need", "to_map"]

_KINDS: dict[str, type] = {"bytes": bytes, "str": str, "int": int}


def need(condition: bool, what: str) -> None:
    """Raise EvidenceError unless ``condition``; ``what`` is what should be so."""
    if not condition:
        raise EvidenceError(f"not so: {what}")


def to_map(
    claims: object,
    labels: Mapping[str, int],
    nested: Mapping[type, Mapping[str, int]] | None = None,
) -> dict[int, object]:
    """Return the claims by label, absent ones left out.

    ``labels`` has each attribute's label, ``nested`` those of the classes that occur in arrays.
    """
    found: dict[int, object] = {}
    for name, label in labels.items():
        value = getattr(claims, name)
        if isinstance(value, tuple):
            inner = nested or {}
            value = [to_map(v, inner[type(v)]) if type(v) in inner else v for v in value]
        if value is not None:
            found[label] = value
    return found


def members(kind: type, claims: dict[Any, Any], labels: Mapping[str, int]) -> dict[str, Any]:
    """Return the members of the dataclass ``kind``, each of the type its annotation says.

    Raises EvidenceError on a claim that is missing, unknown or of another type.
    """
    unknown = set(claims) - set(labels.values())
    need(not unknown, f"unknown claims: {sorted(map(str, unknown))}")
    found: dict[str, Any] = {}
    for item in fields(kind):
        value, annotation = claims.get(labels[item.name]), str(item.type)
        if value is None:
            need("None" in annotation, f"the claim {labels[item.name]} is there")
        wanted = _KINDS.get(annotation.removesuffix(" | None"))
        if value is not None and wanted is not None:
            need(type(value) is wanted, f"claim {labels[item.name]} is of type {annotation}")
        found[item.name] = value
    return found


def claim_map(value: object) -> dict[Any, Any]:
    """Return ``value`` if it is a map; EvidenceError otherwise."""
    if not isinstance(value, dict):
        raise EvidenceError("claims are a map")
    return value


def claim_list(value: object) -> list[Any]:
    """Return ``value`` if it is an array; EvidenceError otherwise."""
    if not isinstance(value, list):
        raise EvidenceError("an array was wanted")
    return value
