# SPDX-License-Identifier: MIT
"""Orders of writes and reads that find caching by content, late or lost options, and counting."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

from harness.explore.blocks import Blocks
from harness.explore.values import ordinary_nonce, ordinary_text
from harness.interface.names import AttributeName
from harness.model.steps import (
    Behaviour,
    MakeEntry,
    ReadAttribute,
    RemoveEntry,
    Repeat,
    Second,
    Step,
    WriteAttribute,
)

__all__ = ["counting", "growth", "many_writes", "orders", "vanishing"]

_MANY = 300
_MOST = (1 << 16) + 3  # one more than a counter of 16 bits has values
_LARGE = 20000  # bytes: a report that the slab allocator takes from the page allocator
_ROUNDS = 40


def orders(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """The same value twice, two values in turn, neighbours of a value, an entry made again."""
    read = ReadAttribute(entry, "outblob")
    for attribute in blocks.version.options:
        first, second = (blocks.option(entry, attribute, number) for number in (1, 2))
        yield first, read, first, read, second, read, first, read, read
        yield first, second, first, read, ReadAttribute(entry, "generation")
        near: list[Step] = []
        for data in _neighbours(blocks, attribute):
            near += [WriteAttribute(entry, attribute, ((None, data),), "near the last"), read]
        yield tuple(near)
    if blocks.configfs:
        again: tuple[Step, ...] = (RemoveEntry(entry), MakeEntry(entry))
        yield *again, ReadAttribute(entry, "generation"), read, blocks.nonce(entry, 3), read
        options = [blocks.option(entry, name, 2) for name in blocks.version.options]
        yield (
            *options,
            read,
            *again,
            ReadAttribute(entry, "generation"),
            blocks.nonce(entry, 2),
            read,
        )


def _neighbours(blocks: Blocks, attribute: AttributeName) -> Iterator[bytes]:
    """Values that a careless comparison takes for the one before."""
    if attribute == "inblob":
        base = ordinary_nonce(1)
        variants = [
            base,
            base[:63] + b"!",
            b"!" + base[1:],
            base[:31] + b"!" + base[32:],
            base[:63],
            base[:32],
            base[:8],
            base[::-1],
            base[1:] + base[:1],
            base[:30] + bytes(2),
            base[:30] + bytes(2) + base[32:],
            base[:30] + bytes(2) + base[:32],
            bytes(32) + base[:32],
            bytes(64),
            bytes(32),
            b"\0",
            base[:2] + b"AbCd" + base[6:],
            base[:2] + b"aBcD" + base[6:],
        ]
        for variant in variants:
            yield variant.hex().encode() if blocks.version.hexadecimal else variant
    elif attribute == "service_guid":
        for number in (1, 2, 1 << 127, (1 << 127) | 1, 1 << 64, 1 << 63, 0):
            yield str(uuid.UUID(int=number)).encode()
    elif attribute == "service_provider":
        yield from (b"svc", b"svc1", b"svC1", b"svc1", b"svc12345", b"svc1234567890abcd",
                    b"svc1234567890abce", b"s", b"1cvs")  # fmt: skip
    elif attribute == "service_manifest_version":
        for number in (1, 257, 65537, 65536, 1 << 24, 1 << 31, (1 << 32) - 1, 0, 1):
            yield b"%d" % number
    else:
        yield from (ordinary_text(attribute, number) for number in (1, 2, 1, 1, 3, 0, 2))


def counting(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """So many writes that a counter of 16 bits overflows.

    There must be no nonce: an implementation may make a report at each write.
    """
    shown = ReadAttribute(entry, "generation")
    for attribute in blocks.version.options:
        if attribute != "inblob":
            yield Repeat(entry, attribute, ordinary_text(attribute, 2), _MOST), shown
            return


def many_writes(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """Writes that the guest repeats: counters of 8 bits, memory that grows."""
    read, shown = ReadAttribute(entry, "outblob"), ReadAttribute(entry, "generation")
    another = Second()
    yield another, read, another, blocks.nonce(entry, 2), read, another, read
    texts = [name for name in blocks.version.options if name != "inblob"]
    for attribute in texts:
        yield Repeat(entry, attribute, ordinary_text(attribute, 2), _MANY), shown, read
    data = ordinary_nonce(3)
    data = data.hex().encode() if blocks.version.hexadecimal else data
    yield Repeat(entry, "inblob", data, _MANY), shown, read, read


def vanishing(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """Blobs that a report has and the next one lacks; the driver may keep their lengths."""
    full = Behaviour(lengths=(96, 40, 50), vmalloc=True)
    reads = [ReadAttribute(entry, blob) for blob in blocks.version.blobs]
    for kept in (False, True):
        lacking = Behaviour(lengths=(96, 0, 0), keep_lengths=kept)
        name = "lengths kept" if kept else "lengths cleared"
        yield (
            ReadAttribute(entry, "outblob", behaviour=full),
            *reads,
            blocks.nonce(entry, 4),
            ReadAttribute(entry, "outblob", value_class=name, behaviour=lacking),
            *reads,
        )


def growth(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """Many large reports, each of which replaces the last one; many that are too long."""
    longest = min(blocks.version.outblob_max, 32768)
    lengths = [(_LARGE, 0, 0), (longest + 1, 0, 0)]
    if "auxblob" in blocks.version.attributes:
        lengths += [(96, _LARGE, 0), (96, longest + 1, 0)]
    for each in lengths:
        large = Behaviour(lengths=each)
        steps: list[Step] = []
        for number in range(_ROUNDS):
            steps.append(blocks.nonce(entry, number))
            steps.append(ReadAttribute(entry, "outblob", 100, 0, behaviour=large))
        yield tuple(steps)
