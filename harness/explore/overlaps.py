# SPDX-License-Identifier: MIT
"""Blocks whose calls overlap: every operation while a report is being made, and how that ends."""

from __future__ import annotations

from collections.abc import Iterator

from harness.explore.blocks import Blocks
from harness.model.steps import (
    Behaviour,
    Ending,
    Leave,
    MakeEntry,
    Overlap,
    ReadAttribute,
    RemoveEntry,
    Return,
    Single,
    Step,
)

__all__ = ["overlaps"]

_REPORT = Behaviour(lengths=(200, 30, 40))
_ENDINGS: tuple[Ending, ...] = ("kill", "interrupt")
_FAILING = Behaviour(-12)


def overlaps(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """Every block; the most telling ones first."""
    read = ReadAttribute(entry, "outblob")
    first = ReadAttribute(entry, "outblob", behaviour=_REPORT)
    failing = ReadAttribute(entry, "outblob", behaviour=_FAILING)
    write = blocks.nonce(entry, 6)
    plain: list[tuple[Single, ...]] = [(), (read,), (Leave(),), (write,), (read, Leave())]
    for others in plain:
        yield _block(blocks, entry, Overlap(first, others))
        yield _block(blocks, entry, Overlap(failing, others))
        for ending in _ENDINGS:
            yield _block(blocks, entry, Overlap(first, others, ending))
    for ending in _ENDINGS:
        yield _block(blocks, entry, Overlap(first, (read,), ending, 1, (read,)))
        yield _block(blocks, entry, Overlap(first, (), ending, 0, (read,)))
    for others in _more(blocks, entry):
        yield _block(blocks, entry, Overlap(first, others))
        yield _block(blocks, entry, Overlap(failing, others))


def _more(blocks: Blocks, entry: str) -> Iterator[tuple[Single, ...]]:
    read, write = ReadAttribute(entry, "outblob"), blocks.nonce(entry, 6)
    yield read, read
    yield (ReadAttribute(entry, "generation"),)
    yield write, read
    yield write, Leave()
    yield Leave(), read
    for name in blocks.version.options:
        if name != "inblob":
            option = blocks.option(entry, name, 2)
            yield (option,)
            yield option, Leave()
            yield option, read, Leave()
    for blob in blocks.version.blobs[1:]:
        yield (ReadAttribute(entry, blob),)
        yield write, ReadAttribute(entry, blob)
    if blocks.configfs:
        yield (MakeEntry("other"),)
        yield (RemoveEntry(entry),)


def _block(blocks: Blocks, entry: str, overlap: Overlap) -> tuple[Step, ...]:
    calls = overlap.calls
    gone = any(isinstance(call, Leave) for call in calls)
    removed = any(isinstance(call, RemoveEntry) for call in calls)
    after: list[Step] = [ReadAttribute(entry, "generation"), ReadAttribute(entry, "outblob")]
    after += [] if removed else [blocks.nonce(entry, 8), ReadAttribute(entry, "outblob")]
    if blocks.configfs:
        after += [RemoveEntry(entry)]
        made = any(isinstance(call, MakeEntry) for call in calls)
        after += [RemoveEntry("other")] if made else []
    after += [Return()] if gone else []
    after += [] if blocks.configfs else [Leave(), Return()]
    start = (MakeEntry(entry),) if blocks.configfs else ()
    first = ReadAttribute(entry, "generation")
    return (*start, first, blocks.nonce(entry, 3), overlap, *after)
