# SPDX-License-Identifier: MIT
"""Dataclasses of claims, and the CBOR maps of labelled claims that they are encoded as.

Each member is ``Annotated`` with its label: ``challenge: Annotated[bytes, 10]``. Its type is
``bytes``, ``str``, ``int``, ``dict``, or a tuple of ``bytes`` or of such dataclasses; ``| None`` at
its end makes the claim optional.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from providers_sim.errors import EvidenceError

__all__ = ["Claim", "claims_of", "from_map", "require", "to_map"]

T = TypeVar("T")

_DECLARED: dict[type, tuple[Claim, ...]] = {}


@dataclass(frozen=True, slots=True)
class Claim:
    """Declaration of one claim; ``element`` is the type of an array's elements."""

    name: str
    label: int
    kind: type
    optional: bool
    element: type | None


def require(condition: bool, message: str) -> None:
    """Raise EvidenceError with ``message`` unless ``condition`` is true."""
    if not condition:
        raise EvidenceError(message)


def claims_of(kind: type) -> tuple[Claim, ...]:
    """Return the claims that the dataclass ``kind`` declares, in their order."""
    if kind not in _DECLARED:
        _DECLARED[kind] = tuple(_declared(kind))
    return _DECLARED[kind]


def _declared(kind: type) -> Iterator[Claim]:
    hints = get_type_hints(kind, include_extras=True)
    for item in fields(kind):
        annotated, label = get_args(hints[item.name])
        optional = type(None) in get_args(annotated)
        plain = get_args(annotated)[0] if optional else annotated
        kind_of = get_origin(plain) or plain
        element = get_args(plain)[0] if kind_of is tuple else None
        yield Claim(item.name, label, kind_of, optional, element)


def to_map(claims: object) -> dict[int, object]:
    """Return the claims by label, without absent ones."""
    found: dict[int, object] = {}
    for claim in claims_of(type(claims)):
        value = getattr(claims, claim.name)
        if isinstance(value, tuple):
            value = [to_map(element) if is_dataclass(element) else element for element in value]
        if value is not None:
            found[claim.label] = value
    return found


def from_map(kind: type[T], value: object) -> T:
    """Make the dataclass ``kind`` from a decoded map.

    Raises EvidenceError when ``value`` is not a map, and on a claim that is missing, unknown or
    of another type.
    """
    if not isinstance(value, dict):
        raise EvidenceError("claims must be a map")
    declared = claims_of(kind)
    unknown = set(value) - {claim.label for claim in declared}
    require(not unknown, f"unknown claims: {sorted(map(str, unknown))}")
    return kind(**{claim.name: _member(claim, value.get(claim.label)) for claim in declared})


def _member(claim: Claim, value: object) -> Any:  # noqa: ANN401 - of the claim's type
    if value is None:
        require(claim.optional, f"claim {claim.label} ({claim.name}) is missing")
        return None
    wanted = list if claim.kind is tuple else claim.kind
    require(
        type(value) is wanted,
        f"claim {claim.label} ({claim.name}) must be of type {wanted.__name__}",
    )
    if not isinstance(value, list):
        return value
    if is_dataclass(claim.element):
        return tuple(from_map(claim.element, element) for element in value)
    return tuple(value)
