# SPDX-License-Identifier: MIT
"""A decoded blob as a tree of named values, for people to read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from providers_sim.errors import EvidenceError

__all__ = ["Node"]


@dataclass(slots=True)
class Node:
    """One node: a label, a value as text (empty when the node only has children), children."""

    label: str
    value: str = ""
    children: list[Node] = field(default_factory=list)

    def add(self, label: str, value: object = "") -> Node:
        """Append a child and return it; bytes are shown in hexadecimal."""
        text = _format_bytes(value) if isinstance(value, bytes) else str(value)
        child = Node(label, text)
        self.children.append(child)
        return child

    def add_violation(self, parse: Callable[[bytes], object], blob: bytes) -> None:
        """Append the reason for which the strict decoder ``parse`` rejects ``blob``, if it does."""
        try:
            parse(blob)
        except EvidenceError as error:
            self.add("violates the specification", error)


def _format_bytes(data: bytes) -> str:
    """Return bytes in hexadecimal, or their number when all of more than four are 00 or ff."""
    if len(data) > 4 and not any(data):
        return f"{len(data)} zero bytes"
    if len(data) > 4 and data == b"\xff" * len(data):
        return f"{len(data)} bytes of ff"
    return data.hex() or "empty"
