# SPDX-License-Identifier: MIT
"""The model: from a world, a step and its outcome to the worlds that are possible afterwards.

Where the documentation leaves a choice, several worlds follow. A step disagrees with the model
when none does.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations

from harness.interface.names import ATTRIBUTE_NAMES, AttributeName
from harness.model.interface import InterfaceVersion
from harness.model.outcome import Outcome, SeenRequest
from harness.model.reads import after_read, after_read_of_file
from harness.model.requests import eager_results, matches
from harness.model.steps import (
    CloseFile,
    Leave,
    ListEntry,
    MakeEntry,
    OpenFile,
    Overlap,
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
from harness.model.world import Entry, OpenedFile, Provider, World
from harness.model.writes import after_writes, understand

__all__ = ["CLASS_ENTRY", "Model", "OverlapOutcome", "left_too_early"]

CLASS_ENTRY = "tsm0"
"""The name of the one entry of the class."""

_NAME_MAX = 255
_MAX_WORLDS = 64


@dataclass(frozen=True)
class OverlapOutcome:
    """The outcomes of the calls of an :class:`Overlap`.

    ``others`` has those of ``Overlap.others`` and ``Overlap.later``. ``killed``: the victim was
    killed. ``early`` has the numbers of the calls that returned while the request was held.
    ``others_requests`` were made by tasks of the implementation, not by a caller.
    """

    first: Outcome
    others: tuple[Outcome, ...]
    killed: bool = False
    early: frozenset[int] = frozenset()
    others_requests: tuple[SeenRequest, ...] = ()

    def lost_caller(self, victim: int) -> bool:
        """Whether the kernel ended a caller that nobody killed."""
        return any(
            each.died and not (self.killed and number == victim)
            for number, each in enumerate((self.first, *self.others))
        )

    @property
    def text(self) -> str:
        """The outcome in words."""
        texts = [
            f"{each.text} (before the answer)" if number in self.early else each.text
            for number, each in enumerate((self.first, *self.others))
        ]
        texts += [f"another task makes a {each.text}" for each in self.others_requests]
        return f"[{texts[0]}]; meanwhile: {'; '.join(texts[1:]) or 'nothing'}"


def left_too_early(step: Overlap, outcome: OverlapOutcome) -> bool:
    """Whether a provider unregistered although its report_new was running."""
    held = outcome.first.requests or outcome.others_requests
    if not held or step.ending != "answer":
        return False
    return any(
        isinstance(call, Leave) and not outcome.others[number - 1].error
        for number, call in enumerate(step.calls)
        if number in outcome.early
    )


def _is_broken(step: Overlap, outcome: OverlapOutcome) -> bool:
    calls = (outcome.first, *outcome.others)
    return any(each.splats or each.stuck for each in calls) or outcome.lost_caller(step.victim)


@dataclass(frozen=True)
class _Part:
    """A call of an overlap, or a request of it that a later one of the same call replaced."""

    call: int
    number: int
    step: Single
    outcome: Outcome
    repeated: bool


def _parts(calls: Iterable[tuple[Single, Outcome]]) -> Iterator[_Part]:
    for call, (step, outcome) in enumerate(calls):
        requests = outcome.requests
        for number in range(len(requests) - 1):
            yield _Part(call, number, step, Outcome(requests=requests[number : number + 1]), True)
        last = replace(outcome, requests=requests[-1:])
        yield _Part(call, len(requests), step, last, False)


def _in_sequence(parts: Iterable[_Part]) -> bool:
    """Whether the requests of each call are in the order in which it made them."""
    reached: dict[int, int] = {}
    for part in parts:
        if reached.get(part.call, -1) > part.number:
            return False
        reached[part.call] = part.number
    return True


@dataclass(frozen=True)
class Model:
    """A version of the interface, with ``deviations`` taken as allowed, by their claims."""

    version: InterfaceVersion
    deviations: frozenset[str] = frozenset()

    def start(self, provider: Return) -> World:
        """The world after the first provider has registered."""
        return self._registered(World(None, 0, 0), provider)

    def step(
        self, worlds: Iterable[World], step: Step, outcome: Outcome | OverlapOutcome
    ) -> tuple[World, ...]:
        """The worlds that are possible after a step; none when its outcome is not allowed."""
        following: dict[World, None] = {}
        for world in worlds:
            for after in self._after(world, step, outcome):
                following[after] = None
                if len(following) == _MAX_WORLDS:
                    return tuple(following)
        return tuple(following)

    def _after(
        self, world: World, step: Step, outcome: Outcome | OverlapOutcome
    ) -> Iterator[World]:
        if isinstance(step, Overlap):
            assert isinstance(outcome, OverlapOutcome)
            yield from self._overlapped(world, step, outcome)
        else:
            assert isinstance(outcome, Outcome)
            if not (outcome.splats or outcome.stuck or outcome.died):
                yield from self._single(world, step, outcome)
            elif self._is_missing_blob(step):
                yield world

    def _is_missing_blob(self, step: Single) -> bool:
        return (
            "F1" in self.deviations
            and isinstance(step, ReadAttribute)
            and step.attribute in self.version.blobs[1:]
        )

    def _single(  # noqa: PLR0912 - one case for each kind of step
        self, world: World, step: Single, outcome: Outcome
    ) -> Iterator[World]:
        match step:
            case WriteAttribute() | Repeat():
                yield from self._written(world, step, outcome)
            case ReadAttribute():
                yield from self._read(world, step, outcome)
            case ReadFile():
                file = world.file(step.slot)
                if file is None:
                    yield from self._refused(world, outcome)
                else:
                    yield from after_read_of_file(
                        world, file, step, outcome, self.version, self.deviations
                    )
            case _ if outcome.requests:
                return
            case OpenFile():
                yield from self._opened(world, step, outcome)
            case CloseFile():
                yield world.with_file(step.slot, None)
            case MakeEntry() | RemoveEntry():
                yield from self._directory(world, step, outcome)
            case ListEntry() | StatAttribute():
                yield from self._looked(world, step, outcome)
            case Leave() | Return() | Second() | Stranger():
                yield from self._registration(world, step, outcome)
            case TidyUp():
                if not outcome.kept:
                    yield world

    @staticmethod
    def _refused(world: World, outcome: Outcome) -> Iterator[World]:
        if outcome.error and not outcome.requests:
            yield world

    # Files.

    def _shown(self, world: World, name: str, attribute: AttributeName) -> Entry | None:
        entry = world.entry(name)
        return entry if entry is not None and attribute in entry.attributes else None

    def _read(self, world: World, step: ReadAttribute, outcome: Outcome) -> Iterator[World]:
        entry = self._shown(world, step.entry, step.attribute)
        if entry is None:
            yield from self._refused(world, outcome)
            return
        yield from after_read(world, entry, step, outcome, self.version, self.deviations)

    def _opened(self, world: World, step: OpenFile, outcome: Outcome) -> Iterator[World]:
        entry = self._shown(world, step.entry, step.attribute)
        if entry is None:
            yield from self._refused(world, outcome)
        elif outcome.error:
            if world.provider is None:
                yield world
        else:
            yield world.with_file(step.slot, OpenedFile(step.entry, entry.number, step.attribute))

    def _written(
        self, world: World, step: WriteAttribute | Repeat, outcome: Outcome
    ) -> Iterator[World]:
        entry = self._shown(world, step.entry, step.attribute)
        if entry is None:
            yield from self._refused(world, outcome)
            return
        if outcome.calls and outcome.calls[0].name == "open" and outcome.calls[0].err:
            if world.provider is None:
                yield from self._refused(world, outcome)
            return
        for after in self._committed(world, entry, step, outcome):
            yield world.with_entry(step.entry, after)

    def _committed(
        self, world: World, entry: Entry, step: WriteAttribute | Repeat, outcome: Outcome
    ) -> Iterator[Entry]:
        if isinstance(step, Repeat):
            yield from self._repeated(world, entry, step, outcome)
            return
        results = [call for call in outcome.calls if call.name in ("write", "pwrite")]
        candidates = after_writes(
            world, entry, step.attribute, step.pieces, results, self.version, self.deviations
        )
        for after in candidates:
            if after is entry and outcome.requests:
                continue
            yield from eager_results(after, outcome, self.version, self.deviations)
        if outcome.error and outcome.requests:
            yield from self._early_refusal(entry, step, outcome)

    def _early_refusal(
        self, entry: Entry, step: WriteAttribute, outcome: Outcome
    ) -> Iterator[Entry]:
        """A write that failed because the report, made at once, failed."""
        request = outcome.requests[0]
        refused = request.blobs is None and len(outcome.requests) == 1
        if refused and -request.behaviour.value == outcome.error:
            yield entry

    def _repeated(
        self, world: World, entry: Entry, step: Repeat, outcome: Outcome
    ) -> Iterator[Entry]:
        rounds = next((call.ret for call in outcome.calls if call.name == "repeat"), 0)
        understood = understand(step.attribute, step.data, world, self.version)
        binary = step.attribute == "inblob" and not self.version.hexadecimal
        values = (step.data,) if binary else understood.values
        if rounds != step.rounds or outcome.error:
            return
        member = "nonce" if step.attribute == "inblob" else step.attribute
        for value in values:
            after = replace(entry.commit(**{member: value}), written=entry.written + rounds)
            if not outcome.requests:
                yield after
            elif matches(after, outcome.requests[-1], self.version, self.deviations):
                last = replace(outcome, requests=outcome.requests[-1:])
                yield from eager_results(after, last, self.version, self.deviations)

    # Entries.

    def _directory(
        self, world: World, step: MakeEntry | RemoveEntry, outcome: Outcome
    ) -> Iterator[World]:
        exists = world.entry(step.entry) is not None
        if isinstance(step, RemoveEntry):
            possible = exists
        else:
            possible = not exists and world.provider is not None
            possible = possible and len(os.fsencode(step.entry)) <= _NAME_MAX
        if bool(outcome.error) == possible:
            return
        if not possible:
            yield world
        elif isinstance(step, RemoveEntry):
            yield world.with_entry(step.entry, None)
        else:
            assert world.provider is not None
            entry = Entry(world.made + 1, world.epoch, world.provider.attributes)
            yield replace(world, made=world.made + 1).with_entry(step.entry, entry)

    def _looked(
        self, world: World, step: ListEntry | StatAttribute, outcome: Outcome
    ) -> Iterator[World]:
        entry = world.entry(step.entry)
        if isinstance(step, StatAttribute):
            shown = entry is not None and step.attribute in entry.attributes
            if outcome.error:
                if not shown:
                    yield world
            elif shown and self._mode_allowed(step.attribute, outcome.calls[0].ret):
                yield world
            return
        if entry is None or outcome.error:
            if (entry is None) == bool(outcome.error):
                yield world
            return
        names = {os.fsdecode(name) for name in outcome.calls[0].data.split(b"\0")}
        names |= {"inblob"} if "inhex" in names else set()
        if names & set(ATTRIBUTE_NAMES) & self.version.attributes == entry.attributes:
            yield world

    def _mode_allowed(self, attribute: AttributeName, mode: int) -> bool:
        readable, writable = bool(mode & 0o444), bool(mode & 0o222)
        if not stat.S_ISREG(mode) or mode & 0o022:
            return False
        if attribute in self.version.read_write or (
            attribute == "inblob" and self.version.hexadecimal
        ):
            return writable
        return (
            writable and not readable
            if attribute in self.version.write_only
            else (readable and not writable)
        )

    # The provider.

    def _registered(self, world: World, step: Return) -> World:
        shown = self.version.visible(step.attrs, step.bin_attrs)
        provider = Provider(step.name, step.floor, shown)
        after = replace(world, provider=provider, epoch=world.epoch + 1)
        if self.version.kind == "configfs":
            return after
        kept = dict(world.entries).get("(kept)")
        entry = Entry(after.made + 1, after.epoch, shown)
        if kept is not None and "P6" in self.deviations:
            entry = replace(kept, number=after.made + 1, epoch=after.epoch, attributes=shown)
        after = replace(after, made=after.made + 1, entries=())
        return after.with_entry(CLASS_ENTRY, entry)

    def _registration(
        self, world: World, step: Leave | Return | Second | Stranger, outcome: Outcome
    ) -> Iterator[World]:
        failed = bool(outcome.error)
        if isinstance(step, (Second, Stranger)):
            if failed or (isinstance(step, Second) and world.provider is None):
                yield world
        elif isinstance(step, Leave):
            if failed == (world.provider is None):
                yield world if failed else self._left(world)
        elif world.provider is not None:
            if failed:
                yield world
        else:
            stale = self.version.kind == "configfs" and bool(world.entries)
            if failed and stale:
                yield world
            if not failed:
                yield self._registered(world, step)

    def _left(self, world: World) -> World:
        after = replace(world, provider=None)
        if self.version.kind == "configfs":
            return after
        entry = world.entry(CLASS_ENTRY)
        after = after.with_entry(CLASS_ENTRY, None)
        if entry is None or "P6" not in self.deviations:
            return after
        return after.with_entry("(kept)", entry)

    # Calls that overlap.

    def _overlapped(self, world: World, step: Overlap, outcome: OverlapOutcome) -> Iterator[World]:
        """Every order of the calls that explains their outcomes.

        While the report is made, another call may also be refused.
        """
        calls: list[tuple[Single, Outcome]] = [(step.first, outcome.first)]
        calls += zip(step.calls[1:], outcome.others, strict=True)
        if _is_broken(step, outcome) or left_too_early(step, outcome):
            return
        parts = list(_parts(calls))
        for number, request in enumerate(outcome.others_requests):
            parts.append(_Part(-1, number, step.first, Outcome(requests=(request,)), True))
        for order in permutations(range(len(parts))):
            if not _in_sequence([parts[index] for index in order]):
                continue
            worlds = [world]
            for index in order:
                worlds = [
                    after
                    for before in worlds
                    for after in self._one_of_overlap(before, parts[index], outcome, step)
                ]
            yield from worlds

    def _one_of_overlap(
        self, world: World, part: _Part, whole: OverlapOutcome, overlap: Overlap
    ) -> Iterator[World]:
        step, outcome = part.step, part.outcome
        ended_early = part.call == overlap.victim and overlap.ending in ("kill", "interrupt")
        if part.repeated or (ended_early and (whole.killed or outcome.error)):
            yield from self._abandoned(world, step, outcome, early=part.call < 0)
            return
        yield from self._single(world, step, outcome)
        torn = "F2" in self.deviations and isinstance(step, ReadAttribute)
        if (outcome.error or torn) and (part.call or len(overlap.calls) > 1):
            yield from self._abandoned(world, step, outcome)

    def _abandoned(
        self, world: World, step: Single, outcome: Outcome, *, early: bool = False
    ) -> Iterator[World]:
        """After a caller that did not wait for its report: the report may be made or not.

        ``early``: another task makes it, and a reader may get its error.
        """
        name = getattr(step, "entry", "")
        entry = world.entry(name)
        if entry is None or not outcome.requests:
            yield world
            return
        request = outcome.requests[-1]
        if entry.report is None and matches(entry, request, self.version, self.deviations):
            if request.blobs is not None:
                yield world.with_entry(name, entry.made(request.blobs))
            error = -request.behaviour.value if request.blobs is None else 0
            yield world.with_entry(name, entry.failed(error if early else 0))
