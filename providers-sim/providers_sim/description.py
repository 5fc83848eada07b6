# SPDX-License-Identifier: MIT
"""What a blob says, decoded for people: a tree of named values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Node", "hexed"]


@dataclass(slots=True)
class Node:
    """One member: its name, its value as text (empty when it only has parts), its parts."""

    label: str
    value: str = ""
    parts: list[Node] = field(default_factory=list)

    def add(self, label: str, value: object = "") -> Node:
        """Append a part and return it; bytes are shown in hexadecimal."""
        text = hexed(value) if isinstance(value, bytes) else str(value)
        part = Node(label, text)
        self.parts.append(part)
        return part

    def lines(self, depth: int = 0) -> Iterator[str]:
        """Yield the tree as indented lines."""
        yield "  " * depth + self.label + (f": {self.value}" if self.value else "")
        for part in self.parts:
            yield from part.lines(depth + 1)


def hexed(data: bytes) -> str:
    """Bytes as hexadecimal; those that are all zero, or all ones, are said so."""
    if len(data) > 4 and not any(data):
        return f"{len(data)} zero bytes"
    if len(data) > 4 and data == b"\xff" * len(data):
        return f"{len(data)} bytes of ff"
    return data.hex() or "empty"
