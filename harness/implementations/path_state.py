# SPDX-License-Identifier: MIT
"""A path through the functions of a module: where it is, and what it did so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from harness.implementations.facts import Facts
from harness.implementations.gimple import Function, Loop
from harness.implementations.symbolic import Memory, Value

__all__ = ["AbandonedError", "Event", "Frame", "Path", "Program", "innermost_loop"]


@dataclass(frozen=True)
class Event:
    """Memory that was freed at ``freed`` is freed ("free") or accessed ("use") at ``line``."""

    kind: str
    freed: str
    line: str


@dataclass
class Frame:
    """A call in progress. ``target`` is where the caller wants the result."""

    function: Function
    number: int
    target: str = ""
    block: int = 2
    index: int = 0
    visits: dict[int, int] = field(default_factory=dict)

    def copy(self) -> Frame:
        """An independent copy."""
        return replace(self, visits=dict(self.visits))


@dataclass
class Path:
    """A path from the beginning of a function, up to where it has been followed.

    ``freed`` maps what was freed to the line. ``doubts`` names the claims for which the path
    proves nothing, because a branch may be impossible for a reason that is not in the source.
    ``result`` is what the first function returns.
    """

    memory: Memory
    facts: Facts = field(default_factory=Facts)
    freed: dict[Value, str] = field(default_factory=dict)
    deferred: frozenset[Value] = frozenset()
    doubts: frozenset[str] = frozenset()
    events: tuple[Event, ...] = ()
    unset: str = ""
    result: Value = 0
    frames: list[Frame] = field(default_factory=list)

    def copy(self) -> Path:
        """An independent copy."""
        return replace(
            self,
            memory=self.memory.copy(),
            facts=self.facts.copy(),
            freed=dict(self.freed),
            frames=[frame.copy() for frame in self.frames],
        )

    def doubt(self, *claims: str) -> None:
        """Let this path prove nothing about ``claims``."""
        self.doubts |= set(claims)


class Program:
    """The functions of a module, found by the name that a caller uses."""

    def __init__(self, functions: Iterable[Function]) -> None:
        self.functions = list(functions)
        self._named = {each.name: each for each in self.functions}
        self._in_unit = {(each.unit, each.name): each for each in self.functions}

    def find(self, name: str, caller: Function) -> Function | None:
        """The function ``name`` that ``caller`` means: first of its own source file."""
        return self._in_unit.get((caller.unit, name)) or self._named.get(name)


class AbandonedError(Exception):
    """The path cannot be followed: it depends on something that is not modelled."""


def innermost_loop(frame: Frame) -> Loop | None:
    """The smallest loop around the block that the call is at."""
    around = [loop for loop in frame.function.loops if frame.block in loop.nodes]
    return min(around, key=lambda loop: len(loop.nodes), default=None)
