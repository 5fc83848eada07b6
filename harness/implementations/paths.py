# SPDX-License-Identifier: MIT
"""Follows every path through the functions of a module, across calls, with symbolic values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.implementations.facts import NEGATED
from harness.implementations.gimple import Function, Statement, parse_operand
from harness.implementations.path_calls import Calls
from harness.implementations.path_state import AbandonedError, Frame, Path, innermost_loop
from harness.implementations.path_values import COMPARISONS, COPIED, MAX_SIGNED
from harness.implementations.symbolic import Term, Value, mentions, root_of

__all__ = ["Explorer"]

_VISITS = 80  # of one block in one call
_STEPS = 60_000  # of the paths through one function


class Explorer(Calls):
    """Follows paths, statement by statement; ``steps`` is the number of statements so far."""

    steps = 0

    def run(self, function: Function, start: Path, run: int) -> Iterator[Path]:
        """The paths through ``function`` that end, begun in the state ``start``.

        ``run`` distinguishes its arguments from those of earlier calls. Pointers to structures
        are the same in every call: the same file is used again.
        """
        first = start.copy()
        first.frames = [self.enter(first, function, "", self._parameters(function, first, run))]
        pending, limit = [first], self.steps + _STEPS
        while pending and self.steps < limit:
            path = pending.pop()
            self.steps += 1
            try:
                while path.frames:
                    self.steps += 1
                    following = self._step(path)
                    if len(following) != 1:
                        pending += following
                        break
                    path = following[0]
                else:
                    yield path
            except AbandonedError:
                continue

    def _parameters(self, function: Function, path: Path, run: int) -> list[Value]:
        values: list[Value] = []
        seen: dict[str, int] = {}
        for name in function.parameters:
            kind = function.types[name]
            number = seen[kind] = seen.get(kind, -1) + 1
            shared = kind.endswith("*") and "struct" in kind
            term: Term = ("par", kind, number, 0 if shared else run)
            if kind in ("size_t", "bool") or kind.startswith(("unsigned", "u", "long unsigned")):
                path.facts.ranges.setdefault(term, (0, MAX_SIGNED, frozenset()))
            if shared:
                path.facts.ranges.setdefault(term, (1, MAX_SIGNED, frozenset()))
            values.append(term)
        return values

    def _step(self, path: Path) -> list[Path]:
        frame = path.frames[-1]
        block = frame.function.blocks[frame.block]
        if frame.index == 0:
            frame.visits[frame.block] = frame.visits.get(frame.block, 0) + 1
            if frame.visits[frame.block] > _VISITS:
                raise AbandonedError
        if frame.index >= len(block):
            return self._fall_through(path)
        statement = block[frame.index]
        frame.index += 1
        if statement.kind in ("call", "cond", "switch"):
            forks = {"call": self.call, "cond": self._branch, "switch": self._switch}
            return forks[statement.kind](path, statement)
        if statement.kind == "goto":
            self._goto(frame, int(statement.arguments[0]))
        elif statement.kind in ("assign", "asm", "return"):
            follow = {"assign": self._assign, "asm": self._asm, "return": self.leave}
            follow[statement.kind](path, statement)
        return [path]

    def _goto(self, frame: Frame, block: int) -> None:
        if block not in frame.function.blocks:
            raise AbandonedError
        frame.block, frame.index = block, 0

    def _fall_through(self, path: Path) -> list[Path]:
        frame = path.frames[-1]
        targets = frame.function.successors.get(frame.block, [])
        paths = []
        for target in targets:
            after = path.copy() if len(targets) > 1 else path
            self._goto(after.frames[-1], target)
            paths.append(after)
        if not paths:
            raise AbandonedError
        return paths

    def _assign(self, path: Path, statement: Statement) -> None:
        code, target, *operands = statement.arguments
        if operands[0].startswith("{CLOBBER"):
            return
        given = [parse_operand(each) for each in operands if each != "NULL"]
        place = self.address(path, parse_operand(target))
        self.note_access(path, place)
        source = given[0]
        if code in COPIED and source[0] in ("field", "index", "deref", "name"):
            value = self.value(path, source)
            if isinstance(value, tuple) and value[:1] == ("undef",) and target.startswith("D."):
                value = ("undef", value[1], value[2] or statement.line)
            if source[0] != "name" or not self.is_function(path, source[1]):
                path.memory.copy_aggregate(place, self.address(path, source), next(self.serial))
            path.memory.written[place] = value
            return
        value = self.compute(path, code, [self.value(path, each) for each in given])
        path.memory.store(place, value, next(self.serial))

    def _asm(self, path: Path, statement: Statement) -> None:
        operands = [parse_operand(each) for each in statement.arguments]
        places = [self.address(path, each) for each in operands]
        atomic = any(each[0] != "name" for each in operands)
        for place in places:
            path.memory.store(place, self.new("asm" if atomic else "new"), next(self.serial))

    def _branch(self, path: Path, statement: Statement) -> list[Path]:
        frame = path.frames[-1]
        code = COMPARISONS.get(statement.arguments[0])
        gotos = frame.function.blocks[frame.block][frame.index : frame.index + 2]
        if code is None or len(gotos) != 2:
            raise AbandonedError
        a, b = (self.value(path, parse_operand(each)) for each in statement.arguments[1:3])
        if mentions((a, b), ("undef",)):
            return [self._used_unset(path, (a, b))]
        decided = path.facts.decide(code, a, b)
        paths = []
        for goto, each in zip(gotos, (code, NEGATED[code]), strict=True):
            for facts in path.facts.assume(each, a, b):
                after = path.copy() if decided is None else path
                after.facts = facts
                target = int(goto.arguments[0])
                if decided is None:
                    self._doubt(after, target, (each, a, b))
                self._goto(after.frames[-1], target)
                paths.append(after)
        return paths

    def _used_unset(self, path: Path, values: tuple[Value, ...]) -> Path:
        """End the path where a branch depends on what a function returned without setting it."""
        for value in values:
            if isinstance(value, tuple) and value[:1] == ("undef",) and len(value) > 3:
                path.unset = value[2]
                path.frames = []
                return path
        raise AbandonedError

    def _doubt(self, path: Path, target: int, condition: Term) -> None:
        """Note what the branch to ``target``, which nothing in the source decides, leaves open."""
        frame = path.frames[-1]
        if frame.visits[frame.block] > 3:
            raise AbandonedError
        if mentions(condition, ("asm",)):
            path.doubt("R1")
        loop = innermost_loop(frame)
        leaves = loop is not None and target not in loop.nodes and not frame.visits.get(loop.latch)
        if leaves and mentions(condition, ("mem", "par")) and not _empty_list(condition):
            path.doubt("R1", "T4")

    def _switch(self, path: Path, statement: Statement) -> list[Path]:
        frame = path.frames[-1]
        value = self.value(path, parse_operand(statement.arguments[0]))
        if mentions(value, ("undef",)):
            raise AbandonedError
        paths, rest = [], [path]
        default = ""
        for case in statement.arguments[1:]:
            label, _, target = case.rpartition(": ")
            target = target.partition(" [")[0]
            if label == "default":
                default = target
                continue
            low, _, high = label.removeprefix("case ").partition(" ... ")
            bounds = parse_operand(low)[1], parse_operand(high or low)[1]
            paths += [
                self._to_label(frame.function, each, target)
                for path in rest
                for each in _within(path, value, *bounds)
            ]
            rest = [each for path in rest for each in _outside(path, value, *bounds)]
        for each in rest:
            if not isinstance(value, int) and _is_joined(frame.function, default):
                each.doubt("T4")  # the cases may be all values that there are
            paths.append(self._to_label(frame.function, each, default))
        return paths

    def _to_label(self, function: Function, path: Path, label: str) -> Path:
        self._goto(path.frames[-1], function.labels.get(label, -1))
        return path


def _is_joined(function: Function, label: str) -> bool:
    """Whether other cases lead to the default label too, so that it has no code of its own."""
    block = function.labels.get(label)
    return sum(block in targets for targets in function.successors.values()) > 1


def _empty_list(condition: Term) -> bool:
    """Whether the condition says that a global list is empty, as it is when a module is loaded."""
    code, a, b = condition
    if isinstance(a, tuple) and a[0] == "op" and a[1] in ("eq", "ne") and b == 0:
        return _empty_list((a[1] if code == "ne" else NEGATED[a[1]], a[2], a[3]))
    if code != "eq":
        return False
    return any(
        isinstance(head, tuple) and head[0] == "obj" and _first_of(other, head)
        for head, other in ((a, b), (b, a))
    )


def _first_of(value: Value, head: Term) -> bool:
    root = root_of(value)
    return isinstance(root, tuple) and root[0] == "mem" and root[1] == ("fld", head, "next")


def _within(path: Path, value: Value, low: int, high: int) -> Iterator[Path]:
    for facts in path.facts.assume("ge", value, low):
        for narrowed in facts.assume("le", value, high):
            yield replace(path.copy(), facts=narrowed)


def _outside(path: Path, value: Value, low: int, high: int) -> Iterator[Path]:
    if low == high:
        cases = list(path.facts.assume("ne", value, low))
    else:
        cases = [*path.facts.assume("lt", value, low), *path.facts.assume("gt", value, high)]
    for facts in cases:
        yield replace(path.copy(), facts=facts)
