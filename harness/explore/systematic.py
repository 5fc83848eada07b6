# SPDX-License-Identifier: MIT
"""The systematic part: every operation with every value class, in every class of state.

A block brings one entry into a class of state, makes one operation, and looks at everything that
may have changed. Several blocks, with an entry each, make one program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, Literal, get_args

from harness.explore.blocks import Blocks
from harness.explore.orders import counting, growth, many_writes, orders, vanishing
from harness.explore.overlaps import overlaps
from harness.model.check import CLASS_ENTRY
from harness.model.interface import InterfaceVersion
from harness.model.steps import (
    CloseFile,
    Leave,
    OpenFile,
    Overlap,
    Program,
    ReadFile,
    RemoveEntry,
    Return,
    Single,
    Step,
    TidyUp,
)

__all__ = ["PARTS", "STATES", "Part", "ordinary_program", "systematic_programs"]

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

_BLOCKS_A_PROGRAM = 12
_BLOCKS_FOR_MEMORY = 30  # looking for what is kept takes as long as many blocks
_MAX_STEPS = 150


def systematic_programs(version: InterfaceVersion, part: Part) -> Iterator[Program]:
    """The programs of one part, the most telling ones first; together they visit everything."""
    blocks = Blocks(version)
    if part == "kept":
        packed = _packed(_for_memory(blocks), "what is kept", _BLOCKS_FOR_MEMORY)
        for program in islice(packed, 1):
            yield replace(program, steps=(*program.steps, TidyUp()))
        name = "large" if blocks.configfs else CLASS_ENTRY
        if blocks.configfs:
            yield Program((*blocks.reach("report cached", "left"), TidyUp()), "what is kept")
        for steps in growth(blocks, name):
            many = (*blocks.reach("no nonce", name), *steps, *blocks.leave("", name))
            yield Program((*many, TidyUp()), "what is kept")
        for program in packed:
            yield replace(program, steps=(*program.steps, TidyUp()))
    elif part == "progress":
        yield from _packed(_for_progress(blocks), "progress")
    else:
        yield from _packed(_in_states(blocks), "systematic")


def ordinary_program(version: InterfaceVersion) -> Program:
    """What every caller does: memory that an implementation then keeps is kept on purpose."""
    blocks = Blocks(version)
    entry = "ordinary" if blocks.configfs else CLASS_ENTRY
    steps = (
        *blocks.reach("report cached", entry),
        *blocks.look(entry),
        *blocks.leave("", entry),
    )
    return Program((*steps, TidyUp()), "what is kept on purpose")


def _named(
    blocks: Blocks, make: Callable[[str], Iterator[tuple[Step, ...]]]
) -> Iterator[tuple[Step, ...]]:
    for number, steps in enumerate(make("?")):
        name = f"e{number}" if blocks.configfs else CLASS_ENTRY
        yield tuple(_renamed(step, name) for step in steps)


def _for_memory(blocks: Blocks) -> Iterator[tuple[Step, ...]]:
    """Blocks in which something is allocated and freed: repeated, so that little adds up."""

    def answered(entry: str) -> Iterator[tuple[Step, ...]]:
        for steps in (
            *blocks.answers(entry),
            *orders(blocks, entry),
            *many_writes(blocks, entry),
            *blocks.splices(entry),
        ):
            start = blocks.reach("written after a report", entry)
            yield (*start, *steps, blocks.nonce(entry, 4), *steps, *blocks.leave("", entry))

    def refused(entry: str) -> Iterator[tuple[Step, ...]]:
        for steps in blocks.operations(entry):
            yield (*blocks.reach("no nonce", entry), *steps, *steps, *blocks.leave("", entry))

    yield from _named(blocks, answered)
    yield from _named(blocks, lambda entry: _removed(blocks, entry))
    yield from _named(blocks, lambda entry: overlaps(blocks, entry))
    yield from _named(blocks, refused)
    yield from _named(blocks, blocks.registrations)


def _removed(blocks: Blocks, entry: str) -> Iterator[tuple[Step, ...]]:
    """Entries that are removed while a file is open, and after their provider has left."""
    if not blocks.configfs:
        return
    opened, reading = OpenFile("f", entry, "outblob"), ReadFile("f", 40)
    lasts: tuple[tuple[Single, ...], ...] = (
        (RemoveEntry(entry),),
        (Leave(), RemoveEntry(entry), Return()),
    )
    for last in lasts:
        for state in ("no nonce", "nonce written", "report cached", "last report failed"):
            start = tuple(blocks.reach(state, entry))
            yield (*start, opened, reading, *last, reading, CloseFile("f"))
            yield (*start, *last)


def _for_progress(blocks: Blocks) -> Iterator[tuple[Step, ...]]:
    """Calls that overlap, and what may leave a lock behind: refused writes, failed reports."""

    def refused(entry: str) -> Iterator[tuple[Step, ...]]:
        for state, made in (
            ("written after a report", (*blocks.answers(entry), *blocks.operations(entry))),
            ("no nonce", (*blocks.operations(entry),)),
        ):
            for steps in made:
                yield (*blocks.reach(state, entry), *steps, *blocks.probe(entry))

    yield from _named(blocks, lambda entry: overlaps(blocks, entry))
    yield from _named(blocks, refused)


def _in_states(blocks: Blocks) -> Iterator[tuple[Step, ...]]:
    number = 0

    def entry() -> str:
        nonlocal number
        number += 1
        return f"e{number}" if blocks.configfs else CLASS_ENTRY

    name = entry()
    for state, made in (
        ("nonce written", orders(blocks, "?")),
        ("written after a report", blocks.answers("?")),
        ("no nonce", counting(blocks, "?")),
        ("nonce written", many_writes(blocks, "?")),
        ("nonce written", blocks.splices("?")),
        ("nonce written", blocks.offsets("?")),
        ("nonce written", vanishing(blocks, "?")),
    ):
        for steps in made:
            name = entry()
            yield blocks.block(state, name, tuple(_renamed(step, name) for step in steps))
    for steps in overlaps(blocks, "?"):
        name = entry()
        yield tuple(_renamed(step, name) for step in steps)
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
        later = tuple(_renamed_single(other, entry) for other in step.later)
        return replace(step, first=first, others=others, later=later)
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
