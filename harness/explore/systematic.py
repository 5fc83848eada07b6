# SPDX-License-Identifier: MIT
"""The systematic part: every operation with every value class, in every class of state.

A block brings one entry into a class of state, makes one operation, and looks at everything that
may have changed. Several blocks, with an entry each, make one program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Literal, get_args

from harness.explore.values import (
    CHUNKS,
    OFFSETS,
    behaviours,
    nonce_values,
    ordinary_nonce,
    ordinary_text,
    text_values,
)
from harness.interface.names import AttributeName
from harness.model.check import CLASS_ENTRY
from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    ORDINARY,
    Behaviour,
    CloseFile,
    Leave,
    ListEntry,
    MakeEntry,
    OpenFile,
    Overlap,
    Program,
    ReadAttribute,
    ReadFile,
    RemoveEntry,
    Repeat,
    Return,
    Second,
    Single,
    StatAttribute,
    Step,
    Stranger,
    TidyUp,
    WriteAttribute,
)

__all__ = ["PARTS", "STATES", "Blocks", "Part", "systematic_programs"]

Part = Literal["behaviour", "kept", "progress"]
"""What a part of an exploration looks at: a claim each, M1, M2 and M3."""

PARTS: tuple[Part, ...] = get_args(Part)

STATES = (
    "no nonce",
    "nonce written",
    "report cached",
    "written after a report",
    "last report failed",
    "provider gone, no nonce",
    "provider gone, nonce written",
    "provider gone, report cached",
    "no entry",
)
"""The classes of state into which a block brings its entry first."""

_MANY = 300
_BLOCKS_A_PROGRAM = 12
_BLOCKS_FOR_MEMORY = 30  # looking for what is kept takes as long as many blocks
_MAX_STEPS = 150


@dataclass(frozen=True)
class Blocks:
    """Makes the blocks for one version of the interface."""

    version: InterfaceVersion

    @property
    def configfs(self) -> bool:
        """Whether entries are made and removed."""
        return self.version.kind == "configfs"

    def nonce(self, entry: str, number: int, length: int = 64) -> WriteAttribute:
        """An ordinary write of the nonce."""
        data = ordinary_nonce(number, length)
        if self.version.hexadecimal:
            data = data.hex().encode()
        return WriteAttribute(entry, "inblob", ((None, data),))

    def option(self, entry: str, attribute: AttributeName, number: int) -> WriteAttribute:
        """An ordinary write of an option."""
        if attribute == "inblob":
            return self.nonce(entry, number)
        return WriteAttribute(entry, attribute, ((None, ordinary_text(attribute, number)),))

    def reach(self, state: str, entry: str) -> Iterator[Step]:
        """The steps that bring ``entry`` into a class of state."""
        if state == "no entry":
            return
        if self.configfs:
            yield MakeEntry(entry)
        yield ReadAttribute(entry, "generation")
        gone = state.startswith("provider gone, ")
        state = state.removeprefix("provider gone, ")
        if state != "no nonce":
            yield self.nonce(entry, 1)
            yield from (
                self.option(entry, name, 1) for name in self.version.options if name != "inblob"
            )
        if state in ("report cached", "written after a report"):
            yield ReadAttribute(entry, "outblob", behaviour=self._full())
        if state == "written after a report":
            yield self.nonce(entry, 2)
        if state == "last report failed":
            yield ReadAttribute(entry, "outblob", behaviour=Behaviour(-5))
        if gone:
            yield Leave()

    def _full(self) -> Behaviour:
        return Behaviour(lengths=(96, 40, 50)) if self.configfs else ORDINARY

    def look(self, entry: str) -> Iterator[Step]:
        """Read what an operation may have changed, then use the entry as an ordinary caller."""
        yield ReadAttribute(entry, "generation")
        yield from (ReadAttribute(entry, name) for name in self.version.read_write)
        yield ReadAttribute(entry, "outblob")
        yield from (ReadAttribute(entry, blob) for blob in self.version.blobs[1:])
        yield self.nonce(entry, 9, 32)
        yield ReadAttribute(entry, "generation")
        yield ReadAttribute(entry, "outblob")

    def leave(self, state: str, entry: str) -> Iterator[Step]:
        """Remove what the block has made, so that the next block finds a provider."""
        if self.configfs:
            yield RemoveEntry(entry)
        if state.startswith("provider gone") or not self.configfs:
            if not state.startswith("provider gone"):
                yield Leave()
            yield Return()

    def block(self, state: str, entry: str, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """A whole block around the operation ``steps``."""
        return (
            *self.reach(state, entry),
            *steps,
            *self.look(entry),
            *self.leave(state, entry),
        )

    # Operations.

    def operations(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """Every operation on an entry with every value class."""
        yield from self._writes(entry)
        yield from self._reads(entry)
        yield from self._files(entry)
        yield (ListEntry(entry),)
        yield from ((StatAttribute(entry, name),) for name in sorted(self.version.attributes))
        yield (Second(),)
        yield (Stranger(),)
        if self.configfs:
            yield (MakeEntry(entry, "name that exists"),)

    def _writes(self, entry: str) -> Iterator[tuple[Step, ...]]:
        for name, pieces in nonce_values(self.version).items():
            yield (WriteAttribute(entry, "inblob", pieces, name),)
        for attribute in self.version.options:
            if attribute == "inblob":
                continue
            for name, text in text_values(attribute).items():
                yield (WriteAttribute(entry, attribute, ((None, text),), name),)

    def _reads(self, entry: str) -> Iterator[tuple[Step, ...]]:
        for attribute in sorted(self.version.attributes):
            yield (ReadAttribute(entry, attribute),)
            yield (ReadAttribute(entry, attribute, nobody=True, value_class="nobody"),)

    def _files(self, entry: str) -> Iterator[tuple[Step, ...]]:
        opened = OpenFile("f", entry, "outblob")
        reading = ReadFile("f", 40)
        yield opened, reading, self.nonce(entry, 5), reading, ReadFile("f", 40, 8), CloseFile("f")
        yield opened, self.nonce(entry, 5), reading, reading, ReadFile("f", 9, 0), CloseFile("f")

    def answers(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """Every behaviour of the provider, for a read of each blob, and the reads after it."""
        for name, behaviour in behaviours(self.version).items():
            for blob in self.version.blobs:
                first = ReadAttribute(entry, blob, value_class=name, behaviour=behaviour)
                again = [ReadAttribute(entry, other) for other in self.version.blobs]
                yield first, *again, first

    def offsets(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """Reads from every offset and in every piece size."""
        long = Behaviour(lengths=(9000, 0, 0))
        yield (
            ReadAttribute(entry, "outblob", behaviour=long),
            *(
                ReadAttribute(entry, "outblob", 4096, offset, value_class=f"from {offset}")
                for offset in OFFSETS
            ),
        )
        short = Behaviour(lengths=(20, 0, 0))
        yield (
            ReadAttribute(entry, "outblob", behaviour=short),
            *(
                ReadAttribute(entry, "outblob", chunk, value_class=f"by {chunk}")
                for chunk in CHUNKS
            ),
        )

    def splices(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """A write between two parts of one reader's report."""
        long = Behaviour(lengths=(20000, 0, 0))
        for at in (4096, 8192, 12288):
            for attribute in self.version.options:
                reads = [ReadFile("f", 4096, behaviour=long) for _ in range(at // 4096)]
                rest = [ReadFile("f", 4096, behaviour=long) for _ in range(2)]
                yield (
                    OpenFile("f", entry, "outblob"),
                    *reads,
                    self.option(entry, attribute, 7),
                    *rest,
                    ReadAttribute(entry, "generation"),
                    CloseFile("f"),
                )

    def sequences(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """Orders of writes and reads that find caching by content and late or lost options."""
        read = ReadAttribute(entry, "outblob")
        for attribute in self.version.options:
            first, second = (self.option(entry, attribute, number) for number in (1, 2))
            yield first, read, first, read, second, read, first, read, read
            yield first, second, first, read, ReadAttribute(entry, "generation")
        base = ordinary_nonce(1)
        variants = [
            base[:63] + b"!",
            b"!" + base[1:],
            base[:31] + b"!" + base[32:],
            base[:63],
            base[:32],
            base[:8],
            base[::-1],
            base,
        ]
        writes: list[Step] = []
        for variant in variants:
            data = variant.hex().encode() if self.version.hexadecimal else variant
            writes += [WriteAttribute(entry, "inblob", ((None, data),), "near the last"), read]
        yield tuple(writes)
        yield self.nonce(entry, 1), Repeat(entry, "inblob", self._data(3), _MANY), read, read
        for attribute in self.version.options:
            if attribute != "inblob":
                text = ordinary_text(attribute, 2)
                yield (
                    Repeat(entry, attribute, text, _MANY),
                    ReadAttribute(entry, "generation"),
                    read,
                )

    def _data(self, number: int) -> bytes:
        data = ordinary_nonce(number)
        return data.hex().encode() if self.version.hexadecimal else data

    # The provider.

    def registrations(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """Providers that come and go, with other names, floors and visible attributes."""
        read = ReadAttribute(entry, "outblob")
        for floor in (0, 1, 2, 3):
            tries = [
                WriteAttribute(entry, "privlevel", ((None, b"%d" % level),), f"floor {floor}")
                for level in range(5)
            ]
            yield self._under(Return(f"floor{floor}", floor), entry, *tries, read)
        attrs = range(2, 7) if self.configfs else (2,)
        masks = [(0x7F & ~(1 << bit), 0xF) for bit in attrs] + [(0x3, 0x3), (0x7F, 0xF)]
        masks += [(0x7F, 0xB), (0x7F, 0x7)] if self.configfs else []
        for shown, blobs in masks:
            new = Return("masks", 0, shown, blobs, value_class=f"shows {shown:#x}/{blobs:#x}")
            stats = [StatAttribute(entry, name) for name in sorted(self.version.attributes)]
            yield self._under(new, entry, ListEntry(entry), *stats, read)
        long = Return("a-name-of-a-provider-that-is-as-long-as-it-may-be-63-characters")
        yield self._under(long, entry, ReadAttribute(entry, "generation"), read)
        yield self._under(Return(), entry, Leave(), Return(), read)

    def _under(self, new: Return, entry: str, *steps: Single) -> tuple[Step, ...]:
        options = (self.option(entry, name, 2) for name in self.version.options)
        first = ReadAttribute(entry, "generation")
        made = (MakeEntry(entry), first, *options) if self.configfs else (first, *options)
        looks: tuple[Step, ...] = (
            ReadAttribute(entry, "generation"),
            *(
                ReadAttribute(entry, name)
                for name in ("provider", "privlevel_floor")
                if name in self.version.attributes
            ),
        )
        removed = (RemoveEntry(entry),) if self.configfs else ()
        return (Leave(), new, *made, *looks, *steps, *removed, Leave(), Return())

    def overlaps(self, entry: str) -> Iterator[tuple[Step, ...]]:
        """Every operation while a report is being made, and every way in which that ends."""
        first = ReadAttribute(entry, "outblob", behaviour=Behaviour(lengths=(200, 0, 0)))
        others: list[tuple[Single, ...]] = [
            (),
            (ReadAttribute(entry, "outblob"),),
            (ReadAttribute(entry, "outblob"), ReadAttribute(entry, "outblob")),
            (ReadAttribute(entry, "generation"),),
            (Leave(),),
            (self.nonce(entry, 6),),
            (self.nonce(entry, 6), ReadAttribute(entry, "outblob")),
            (ReadAttribute(entry, "outblob"), Leave()),
            (self.nonce(entry, 6), Leave()),
        ]
        others += [(self.option(entry, name, 2),) for name in self.version.options[1:]]
        if self.configfs:
            others += [(MakeEntry("other"),), (RemoveEntry(entry),)]
        for other in others:
            yield self._overlap(entry, Overlap(first, other))
        failing = ReadAttribute(entry, "outblob", behaviour=Behaviour(-12))
        for other in others[:6]:
            yield self._overlap(entry, Overlap(failing, other, "fail"))
            yield self._overlap(entry, Overlap(first, other, "kill"))
            yield self._overlap(entry, Overlap(first, other, "interrupt"))

    def _overlap(self, entry: str, overlap: Overlap) -> tuple[Step, ...]:
        gone = any(isinstance(other, Leave) for other in overlap.others)
        removed = any(isinstance(other, RemoveEntry) for other in overlap.others)
        after: list[Step] = [ReadAttribute(entry, "generation"), ReadAttribute(entry, "outblob")]
        after += [] if removed else [self.nonce(entry, 8), ReadAttribute(entry, "outblob")]
        if self.configfs:
            after += [RemoveEntry(entry)]
            made = any(isinstance(other, MakeEntry) for other in overlap.others)
            after += [RemoveEntry("other")] if made else []
        after += [Return()] if gone else []
        after += [] if self.configfs else [Leave(), Return()]
        start = (MakeEntry(entry),) if self.configfs else ()
        first = ReadAttribute(entry, "generation")
        return (*start, first, self.nonce(entry, 3), overlap, *after)


def systematic_programs(version: InterfaceVersion, part: Part) -> Iterator[Program]:
    """The programs of one part, the most telling ones first; together they visit everything."""
    blocks = Blocks(version)
    if part == "kept":
        yield Program((*_ordinary(blocks), TidyUp()), "what is kept")
        for program in _packed(_for_memory(blocks), "what is kept", _BLOCKS_FOR_MEMORY):
            yield replace(program, steps=(*program.steps, TidyUp()))
    elif part == "progress":
        yield from _packed(_for_progress(blocks), "progress")
    else:
        yield from _packed(_in_states(blocks), "systematic")


def _ordinary(blocks: Blocks) -> Iterator[Step]:
    """What every caller does: memory that an implementation then keeps is kept on purpose."""
    entry = "ordinary" if blocks.configfs else CLASS_ENTRY
    yield from blocks.reach("report cached", entry)
    yield from blocks.look(entry)
    yield from blocks.leave("", entry)


def _named(
    blocks: Blocks, make: Callable[[str], Iterator[tuple[Step, ...]]]
) -> Iterator[tuple[Step, ...]]:
    for number, steps in enumerate(make("?")):
        name = f"e{number}" if blocks.configfs else CLASS_ENTRY
        yield tuple(_renamed(step, name) for step in steps)


def _for_memory(blocks: Blocks) -> Iterator[tuple[Step, ...]]:
    """Blocks in which something is allocated and freed: repeated, so that little adds up."""

    def answered(entry: str) -> Iterator[tuple[Step, ...]]:
        for steps in (*blocks.answers(entry), *blocks.sequences(entry), *blocks.splices(entry)):
            start = blocks.reach("nonce written", entry)
            yield (*start, *steps, blocks.nonce(entry, 4), *steps, *blocks.leave("", entry))

    def left(entry: str) -> Iterator[tuple[Step, ...]]:
        if not blocks.configfs:
            return
        opened = OpenFile("f", entry, "outblob")
        reading = ReadFile("f", 40)
        for last in ((RemoveEntry(entry),), (Leave(), RemoveEntry(entry), Return())):
            for state in ("no nonce", "nonce written", "report cached", "last report failed"):
                start = tuple(blocks.reach(state, entry))
                yield (*start, opened, reading, *last, reading, CloseFile("f"))
                yield (*start, *last)

    yield from _named(blocks, left)
    yield from _named(blocks, answered)
    yield from _named(blocks, blocks.overlaps)
    yield from _named(blocks, blocks.registrations)


def _for_progress(blocks: Blocks) -> Iterator[tuple[Step, ...]]:
    """Calls that overlap, and what may leave a lock behind: refused writes, failed reports."""

    def refused(entry: str) -> Iterator[tuple[Step, ...]]:
        for steps in (*blocks.answers(entry), *blocks.operations(entry)):
            yield blocks.block("nonce written", entry, (*steps, ReadAttribute(entry, "outblob")))

    overlaps, rest = _named(blocks, blocks.overlaps), _named(blocks, refused)
    for block in overlaps:
        yield block
        yield from islice(rest, 6)
    yield from rest


def _in_states(blocks: Blocks) -> Iterator[tuple[Step, ...]]:
    number = 0

    def entry() -> str:
        nonlocal number
        number += 1
        return f"e{number}" if blocks.configfs else CLASS_ENTRY

    name = entry()
    for make in (blocks.sequences, blocks.answers, blocks.splices, blocks.offsets):
        for steps in make("?"):
            name = entry()
            state = "nonce written"
            yield blocks.block(state, name, tuple(_renamed(step, name) for step in steps))
    for steps in blocks.registrations("?"):
        name = entry()
        yield tuple(_renamed(step, name) for step in steps)
    for state in STATES:
        for steps in blocks.operations("?"):
            name = entry()
            yield blocks.block(state, name, tuple(_renamed(step, name) for step in steps))


def _renamed(step: Step, entry: str) -> Step:
    if isinstance(step, Overlap):
        first = replace(step.first, entry=entry)
        others = tuple(_renamed_single(other, entry) for other in step.others)
        return replace(step, first=first, others=others)
    return _renamed_single(step, entry)


def _renamed_single(step: Single, entry: str) -> Single:
    if getattr(step, "entry", None) != "?":
        return step
    changes: dict[str, Any] = {"entry": entry}
    return replace(step, **changes)


def _packed(
    blocks: Iterator[tuple[Step, ...]], title: str, most: int = _BLOCKS_A_PROGRAM
) -> Iterator[Program]:
    steps: list[Step] = []
    count = 0
    for block in blocks:
        if steps and (count == most or len(steps) + len(block) > _MAX_STEPS):
            yield Program(tuple(steps), title)
            steps, count = [], 0
        steps += block
        count += 1
    if steps:
        yield Program(tuple(steps), title)
