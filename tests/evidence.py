# SPDX-License-Identifier: MIT
"""A request, and assertions about evidence, that the tests of every provider share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cwt import CWTError
from hypothesis import strategies as st

from providers_sim import (
    AnyProvider,
    Evidence,
    EvidenceError,
    ProviderRefusal,
    ReportRequest,
    describe,
)
from providers_sim.description import Node
from providers_sim.fault_table import Answer

__all__ = [
    "NONCE",
    "REQUEST",
    "RefusedError",
    "assert_state_restores",
    "description_of",
    "evidence_of",
    "flipped",
    "octets",
    "refusal_of",
    "refuses_malformed_tokens",
]

NONCE = bytes(range(64))
REQUEST = ReportRequest(id=1, inblob=NONCE)


class RefusedError(Exception):
    """The relying party refuses the evidence."""


@contextmanager
def refuses_malformed_tokens() -> Iterator[None]:
    """Raise RefusedError when a library refuses or cannot parse a token."""
    try:
        yield
    except (
        AttributeError, CWTError, IndexError, InvalidSignature, KeyError, TypeError, ValueError,
        cbor2.CBORError,
    ) as error:  # fmt: skip
        raise RefusedError(str(error)) from error


def evidence_of(answer: Answer) -> Evidence:
    """Return the evidence of a request that succeeded."""
    assert answer.evidence is not None
    return answer.evidence


def refusal_of(answer: Answer) -> ProviderRefusal:
    """Return the refusal of a request that failed."""
    assert answer.refusal is not None
    return answer.refusal


def flipped(blob: bytes, offset: int, mask: int = 1) -> bytes:
    """Return ``blob`` with the bits of ``mask`` inverted in the byte at ``offset``."""
    damaged = bytearray(blob)
    damaged[offset] ^= mask
    return bytes(damaged)


def octets(size: int) -> st.SearchStrategy[bytes]:
    """Draw ``size`` bytes."""
    return st.binary(min_size=size, max_size=size)


def assert_state_restores(
    provider: AnyProvider, other: AnyProvider, invalid_live: dict[str, object]
) -> None:
    """Assert that set_state() makes ``other`` a copy, and refuses invalid live states."""
    made = provider.report(REQUEST)
    state = json.loads(json.dumps(provider.get_state()))
    other.set_state(state)
    assert other.get_state() == state
    assert other.report(REQUEST) == made
    assert other.collateral() == provider.collateral()
    for live in ({}, invalid_live, {**state["live"], "x": 1}):
        with pytest.raises(EvidenceError):
            other.set_state({**state, "live": live})


def description_of(blob: bytes) -> str:
    """Return the description as indented lines of ``label: value``."""
    node = describe(blob)
    assert node is not None
    return "\n".join(_lines(node, ""))


def _lines(node: Node, indent: str) -> Iterator[str]:
    yield indent + node.label + (f": {node.value}" if node.value else "")
    for child in node.children:
        yield from _lines(child, indent + "  ")
