# SPDX-License-Identifier: MIT
"""Proves defects of a module by the paths through it.

A pointer is *kept* when a function frees what it points to, returns, and one of the next calls of
the module's functions frees it again or accesses it. A result is *unset* when a path to a return
sets nothing. Both are reported only for a path on which no branch is known to be impossible.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from harness.implementations.gimple import Function, parse_operand
from harness.implementations.path_state import Path, Program
from harness.implementations.paths import Explorer
from harness.implementations.symbolic import Memory, Value, root_of

__all__ = ["Proof", "Symbols", "prove"]

_BUFFER = re.compile(r"(const )?(char|void|u8|unsigned char) \*$")
_TRANSFERS = 3  # calls after the one that frees
_STATES = 24  # states that are followed after each number of calls
_ALIKE = 4  # paths through a function that keep the same pointers
_SEARCH = 60_000  # steps for what may follow one path
_SERIAL = re.compile(r"(?<='new', )\d+|(?<='asm', )\d+")


@dataclass(frozen=True)
class Symbols:
    """From the module's symbol table.

    ``exported`` are global functions, ``once`` those that run when the module is loaded or
    removed. ``values`` are what small variables hold when it is loaded.
    """

    exported: frozenset[str]
    once: frozenset[str]
    values: Mapping[str, int]


@dataclass(frozen=True)
class Proof:
    """The line with the defect, as ``FILE:LINE``, and what happens after it."""

    line: str
    effect: str


def prove(
    functions: Iterable[Function], own: frozenset[str], symbols: Symbols
) -> tuple[list[Proof], list[Proof]]:
    """The pointers that are kept after the memory was freed, and the results that are unset.

    ``own`` are the module's source files, as the functions name them.
    """
    analysis = _Analysis(Program(functions), own, symbols)
    kept: dict[str, Proof] = {}
    unset: dict[str, Proof] = {}
    for function in analysis.roots:
        open_ends: dict[frozenset[str], list[Path]] = {}
        for path in analysis.paths(function, analysis.fresh(), 0):
            is_own = path.unset.rpartition(":")[0] in own
            if is_own and "T4" not in path.doubts:
                effect = f"{function.name}() then depends on a variable that was not set"
                unset.setdefault(path.unset, Proof(path.unset, effect))
            for proof in analysis.freed_twice(path):
                kept.setdefault(proof.line, proof)
            if lines := analysis.kept_lines(function, path):
                open_ends.setdefault(lines, []).append(path)
        for lines, paths in open_ends.items():
            for path in paths[:_ALIKE]:
                if not lines <= kept.keys():
                    for proof in analysis.later_use(function, path):
                        kept.setdefault(proof.line, proof)
    return list(kept.values()), list(unset.values())


class _Analysis:
    def __init__(self, program: Program, own: frozenset[str], symbols: Symbols) -> None:
        self._program = program
        self._symbols = symbols
        self._explorer = Explorer(program, own)
        called = {id(each) for caller in program.functions for each in self._called(caller)}
        self.roots = [
            each for each in program.functions if each.file in own and id(each) not in called
        ]
        self._constants = self._only_loading_sets()
        self._again = [each for each in self.roots if self._is_repeatable(each)]

    def _called(self, caller: Function) -> list[Function]:
        found = (self._program.find(name, caller) for name in _calls(caller))
        return [each for each in found if each is not None]

    def fresh(self) -> Path:
        """The state before a first call."""
        return Path(Memory(self._constants))

    def paths(self, function: Function, start: Path, run: int) -> Iterator[Path]:
        """The paths through a call of ``function``."""
        return self._explorer.run(function, start, run)

    def _only_loading_sets(self) -> dict[str, int]:
        """The variables that have one value as long as the module is loaded.

        These are module parameters, which are taken to have their defaults, and flags that
        loading may set, which are taken to be clear.
        """
        pending = [each for each in self.roots if each.name not in self._symbols.once]
        reached: set[int] = set()
        while pending:
            function = pending.pop()
            if id(function) not in reached:
                reached.add(id(function))
                pending += self._called(function)
        written: set[str] = set()
        for each in self._program.functions:
            written |= _written(each) - (set() if id(each) in reached else _flags(each))
        return {k: v for k, v in self._symbols.values.items() if k not in written}

    def _is_repeatable(self, function: Function) -> bool:
        """Whether the function can be called again for the same object.

        That is known of a transfer, which has a buffer or a number as an argument, of queued
        work, and of a function for other modules. A release, for instance, is the last call.
        """
        if function.name in self._symbols.once:
            return False
        kinds = [function.types[name] for name in function.parameters]
        if function.name in self._symbols.exported:
            return True
        transfers = any(_BUFFER.match(kind) or not kind.endswith("*") for kind in kinds)
        return bool(kinds) and (transfers or kinds[0] == "struct work_struct *")

    def freed_twice(self, path: Path) -> Iterator[Proof]:
        """What the path itself frees again, or accesses after the free."""
        for event in path.events:
            if event.freed and event.line and "R1" not in path.doubts:
                yield Proof(event.freed, f"{_verb(event.kind)} at {event.line}")

    def kept_lines(self, function: Function, path: Path) -> frozenset[str]:
        """The lines that free something to which a pointer is kept; a later call may use it."""
        if "R1" in path.doubts or path.events or function not in self._again:
            return frozenset()
        return frozenset(path.freed[value] for value in self._dangling(function, path))

    def later_use(self, function: Function, path: Path) -> Iterator[Proof]:
        """Follow later calls, nearest first, until one uses what ``path`` has freed."""
        limit = self._explorer.steps + _SEARCH
        states = [path]
        nearest = [function, *(each for each in self._again if each is not function)]
        for run in range(1, _TRANSFERS + 1):
            following: dict[str, Path] = {}
            proofs: list[Proof] = []
            for state in states:
                for again in nearest:
                    if self._explorer.steps < limit:
                        proofs += self._after(function, again, state, run, following)
            if proofs:
                yield from proofs
                return
            states = list(following.values())[:_STATES]

    def _after(
        self, first: Function, again: Function, state: Path, run: int, following: dict[str, Path]
    ) -> Iterator[Proof]:
        """Call ``again`` after ``state``; adds what it leads to to ``following``."""
        dangling = self._dangling(first, state)
        lines = {state.freed[value] for value in dangling}
        begun = replace(
            state.copy(), events=(), unset="", freed={v: state.freed[v] for v in dangling}
        )
        for path in self.paths(again, begun, run):
            if "R1" in path.doubts:
                continue
            for event in path.events:
                if event.freed in lines and event.line:
                    what = f"a later {again.name}() {_verb(event.kind)}"
                    effect = f"{first.name}() keeps the pointer, {what}"
                    yield Proof(event.freed, f"{effect} at {event.line}")
            if not path.events and self._dangling(first, path):
                written = repr(sorted(path.memory.written.items(), key=repr))
                following.setdefault(_SERIAL.sub("", written), path)

    def _dangling(self, function: Function, path: Path) -> set[Value]:
        """What is freed although a place that outlives the call still points to it."""
        gone = {root_of(value) for value in path.freed}
        found = set()
        for value in path.freed:
            places = [k for k, v in path.memory.written.items() if v == value]
            if (
                isinstance(value, tuple)
                and value[0] == "mem"
                and path.memory.load(value[1]) == value
            ):
                places.append(value[1])
            if any(self._outlives(function, place, gone) for place in places):
                found.add(value)
        return found

    def _outlives(self, function: Function, place: Value, gone: set[Value]) -> bool:
        root = root_of(place)
        if root in gone or not isinstance(root, tuple):
            return False
        if root[0] == "obj":
            return True
        # Of other modules' calls, only those that transfer something use the object again.
        exported = function.name in self._symbols.exported
        return root[0] in ("par", "mem") and not exported


def _verb(kind: str) -> str:
    return "frees it again" if kind == "free" else "uses it"


def _calls(function: Function) -> set[str]:
    statements = (each for block in function.blocks.values() for each in block)
    names = (each.arguments[0] for each in statements if each.kind == "call")
    return {name.partition("D.")[0] for name in names if not function.is_local(name)}


def _written(function: Function) -> set[str]:
    """The global variables that the function assigns to, or whose address it takes."""
    found = set()
    for statement in (each for block in function.blocks.values() for each in block):
        targets = statement.arguments[1:2] if statement.kind in ("assign", "call") else ()
        if statement.kind == "asm":
            targets = statement.arguments
        for text in targets:
            found.add(_object(parse_operand(text)))
        for text in statement.arguments:
            found |= {
                _object(parse_operand(each)) for each in re.findall(r"&([\w$]+(?:D\.\d+)?)", text)
            }
    return found - {""}


def _flags(function: Function) -> set[str]:
    """The global variables in which the function only sets bits."""
    assigned = [
        each.arguments
        for block in function.blocks.values()
        for each in block
        if each.kind == "assign"
    ]
    results = {target for code, target, *_ in assigned if code == "bit_ior_expr"}
    others = {_object(parse_operand(t)) for _, t, source, *_ in assigned if source not in results}
    flags = {_object(parse_operand(t)) for _, t, source, *_ in assigned if source in results}
    return flags - others


def _object(expression: tuple[object, ...]) -> str:
    while expression[0] in ("field", "index"):
        expression = expression[1]  # type: ignore[assignment]
    return str(expression[1]).partition("D.")[0] if expression[0] == "name" else ""
