# SPDX-License-Identifier: MIT
"""Evaluates the operands and expressions of gcc's statements with symbolic values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from harness.implementations.gimple import Expression
from harness.implementations.path_state import AbandonedError, Event, Frame, Path, Program
from harness.implementations.symbolic import Term, Value, root_of

__all__ = ["COMPARISONS", "COPIED", "MAX_SIGNED", "Evaluator", "line_of", "offset_of"]

COMPARISONS = {
    "eq_expr": "eq", "ne_expr": "ne", "lt_expr": "lt", "le_expr": "le", "gt_expr": "gt",
    "ge_expr": "ge",
}  # fmt: skip
"""gcc's names of comparisons."""
COPIED = {
    "ssa_name", "var_decl", "parm_decl", "component_ref", "mem_ref", "array_ref", "indirect_ref",
    "integer_cst", "addr_expr", "string_cst", "nop_expr", "convert_expr", "constructor",
    "view_convert_expr", "function_decl", "paren_expr", "result_decl", "target_mem_ref",
}  # fmt: skip
"""gcc's names of assignments without an operation."""
_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "plus_expr": lambda a, b: a + b,
    "minus_expr": lambda a, b: a - b,
    "mult_expr": lambda a, b: a * b,
    "bit_and_expr": lambda a, b: a & b,
    "bit_ior_expr": lambda a, b: a | b,
    "bit_xor_expr": lambda a, b: a ^ b,
    "min_expr": min,
    "max_expr": max,
    "lshift_expr": lambda a, b: a << (b & 63),
    "rshift_expr": lambda a, b: a >> (b & 63),
}
MAX_SIGNED = (1 << 63) - 1
"""The largest signed integer."""


class Evaluator:
    """Evaluates in the innermost call of a path. ``own`` are the module's source files."""

    def __init__(self, program: Program, own: frozenset[str]) -> None:
        self.program = program
        self.own = own
        self.serial = count(1)

    def new(self, kind: str = "new") -> Term:
        """A value of which nothing is known."""
        return (kind, next(self.serial))

    def address(self, path: Path, expression: Expression) -> Value:
        """The address of an operand."""
        kind = expression[0]
        if kind == "name":
            frame = path.frames[-1]
            name = expression[1]
            if frame.function.is_local(name):
                return ("var", frame.number, name)
            return ("obj", name.partition("D.")[0] or name)
        if kind == "field":
            return ("fld", self.address(path, expression[1]), expression[2])
        if kind == "index":
            index = self.value(path, expression[2])
            return ("idx", self.address(path, expression[1]), index)
        if kind == "deref":
            return offset_of(self.value(path, expression[1]), expression[2])
        raise AbandonedError

    def value(self, path: Path, expression: Expression) -> Value:
        """The value of an operand."""
        kind = expression[0]
        if kind == "int":
            return int(expression[1])
        if kind == "addr":
            return self.address(path, expression[1])
        if kind == "string":
            return ("string", expression[1])
        if kind == "text":
            return 0 if expression[1] == "{}" else self.new()
        if kind == "name" and self.is_function(path, expression[1]):
            return ("obj", expression[1].partition("D.")[0])
        address = self.address(path, expression)
        self.note_access(path, address)
        return path.memory.load(address)

    def is_function(self, path: Path, name: str) -> bool:
        """Whether ``name`` is a function of the module."""
        caller = path.frames[-1].function
        plain = name.partition("D.")[0]
        return not caller.is_local(name) and self.program.find(plain, caller) is not None

    def note_access(self, path: Path, address: Value) -> None:
        """Note an access to ``address``, if it is in memory that was freed."""
        root = root_of(address)
        if root in path.freed and root not in path.deferred and root != address:
            self.note(path, "use", root)

    def note(self, path: Path, kind: str, freed: Value) -> None:
        """Note what happens to memory that was freed."""
        place = next((f for f in reversed(path.frames) if f.function.file in self.own), None)
        line = line_of(place) if place else ""
        path.events += (Event(kind, path.freed[freed], line),)

    def compute(self, path: Path, code: str, values: list[Value]) -> Value:
        """The result of the operation ``code``."""
        if len(values) > 2:
            return self.new()
        if code in COPIED or len(values) == 1:
            return _of_one(code, values[0])
        first, second = values
        if code in COMPARISONS:
            known = path.facts.decide(COMPARISONS[code], first, second)
            return ("op", COMPARISONS[code], first, second) if known is None else int(known)
        if code == "pointer_plus_expr":
            return offset_of(first, second)
        return _of_two(code, first, second)


def _of_one(code: str, value: Value) -> Value:
    if code in COPIED:
        return value
    if code == "negate_expr" and isinstance(value, int):
        return -value
    if code == "bit_not_expr":  # the negation of a bool, except in masks
        return int(value == 0) if isinstance(value, int) else ("op", "eq", value, 0)
    return ("op", code, value, 0)


def _of_two(code: str, first: Value, second: Value) -> Value:
    if isinstance(first, int) and isinstance(second, int) and code in _ARITHMETIC:
        return _ARITHMETIC[code](first, second)
    if code in ("plus_expr", "minus_expr") and isinstance(second, int):
        return offset_of(first, second if code == "plus_expr" else -second)
    if code == "bit_and_expr" and 0 in (first, second):
        return 0
    if code in ("bit_ior_expr", "bit_xor_expr") and 0 in (first, second):
        return first if second == 0 else second
    return ("op", code.removesuffix("_expr"), first, second)


def line_of(frame: Frame) -> str:
    """The place of the last statement that has one."""
    statements = frame.function.blocks[frame.block][: frame.index]
    return next((each.line for each in reversed(statements) if each.line), "")


def offset_of(pointer: Value, offset: Value) -> Value:
    """``pointer`` moved by ``offset``, which is an element where it is not negative."""
    if isinstance(offset, int) and offset > MAX_SIGNED:
        offset -= 1 << 64
    if offset == 0:
        return pointer
    if isinstance(pointer, int):
        return pointer + offset if isinstance(offset, int) else ("op", "plus", pointer, offset)
    if pointer[0] == "add" and isinstance(offset, int):
        total = pointer[2] + offset
        return pointer[1] if total == 0 else ("add", pointer[1], total)
    if isinstance(offset, int):
        return ("add", pointer, offset)
    return ("idx", pointer, offset)
