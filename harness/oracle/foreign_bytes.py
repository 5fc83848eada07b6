# SPDX-License-Identifier: MIT
"""Compares byte strings, and recognises the bytes with which the kernel fills memory."""

from __future__ import annotations

from collections import Counter

__all__ = ["differing_bytes", "explain", "prefix_length", "suffix_length"]

# include/linux/poison.h: POISON_FREE, POISON_INUSE, SLUB_RED_ACTIVE, SLUB_RED_INACTIVE.
_FILLERS = {
    0x6B: "freed memory (slab poison 0x6b)",
    0x5A: "uninitialised memory (slab poison 0x5a)",
    0xCC: "memory beyond an allocation (slab redzone 0xcc)",
    0xBB: "memory beyond a freed object (slab redzone 0xbb)",
    0x00: "zeroes: memory cleared at allocation and never written",
}


def prefix_length(one: bytes, other: bytes) -> int:
    """Count the bytes two strings have in common from the start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def suffix_length(one: bytes, other: bytes) -> int:
    """Count the bytes two strings have in common from the end."""
    return prefix_length(one[::-1], other[::-1])


def differing_bytes(data: bytes, reference: bytes) -> bytes:
    """Return the bytes of ``data`` that differ from ``reference`` at their offset, in order."""
    common = min(len(data), len(reference))
    same = [one == other for one, other in zip(data, reference, strict=False)]
    return bytes(byte for byte, equal in zip(data, same, strict=False) if not equal) + data[common:]


def explain(foreign: bytes) -> str:
    """Return a clause that names the filler of most of the bytes, or an empty string."""
    if not foreign:
        return ""
    byte, count = Counter(foreign).most_common(1)[0]
    if byte not in _FILLERS or 2 * count <= len(foreign):
        return ""
    return f"; {count} of them are {_FILLERS[byte]}"
