# SPDX-License-Identifier: MIT
"""The description of a blob as text, for assertions."""

from __future__ import annotations

from collections.abc import Iterator

from providers_sim import describe
from providers_sim.description import Node

__all__ = ["description_of"]


def description_of(blob: bytes) -> str:
    """Return the description as indented lines of ``label: value``."""
    node = describe(blob)
    assert node is not None
    return "\n".join(_lines(node, ""))


def _lines(node: Node, indent: str) -> Iterator[str]:
    yield indent + node.label + (f": {node.value}" if node.value else "")
    for child in node.children:
        yield from _lines(child, indent + "  ")
