# SPDX-License-Identifier: MIT
"""Blocks: an entry is brought into a class of state, used once, looked at, and removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    ORDINARY,
    Behaviour,
    CloseFile,
    Leave,
    ListEntry,
    MakeEntry,
    OpenFile,
    ReadAttribute,
    ReadFile,
    RemoveEntry,
    Return,
    Second,
    Single,
    StatAttribute,
    Step,
    Stranger,
    WriteAttribute,
)

__all__ = ["Blocks"]


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

    def probe(self, entry: str) -> Iterator[Step]:
        """One operation of every kind: each must return, whatever happened before."""
        yield from (self.option(entry, name, 3) for name in self.version.options)
        yield ReadAttribute(entry, "generation")
        yield ReadAttribute(entry, "outblob")
        yield ReadAttribute(entry, "outblob", nobody=True, value_class="nobody")
        yield ListEntry(entry)
        if self.configfs:
            yield from (MakeEntry("probe"), RemoveEntry("probe"), RemoveEntry(entry))
        yield from (Leave(), Return())

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
                for others in ((), (ReadAttribute(entry, "outblob", behaviour=long),)):
                    yield (
                        OpenFile("f", entry, "outblob"),
                        *reads,
                        self.option(entry, attribute, 7),
                        *others,
                        *rest,
                        ReadAttribute(entry, "generation"),
                        CloseFile("f"),
                    )

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
