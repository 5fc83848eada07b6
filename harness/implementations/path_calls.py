# SPDX-License-Identifier: MIT
"""Calls on a path: functions of the module are followed, those of the kernel have known effects."""

from __future__ import annotations

from harness.implementations.gimple import Function, Statement, parse_operand
from harness.implementations.kernel_calls import FREES, effect_of
from harness.implementations.path_state import AbandonedError, Frame, Path
from harness.implementations.path_values import MAX_SIGNED, Evaluator, line_of
from harness.implementations.symbolic import Term, Value, mentions, root_of

__all__ = ["Calls"]

_DEPTH = 24


class Calls(Evaluator):
    """Makes calls, and returns from them."""

    def enter(self, path: Path, function: Function, target: str, values: list[Value]) -> Frame:
        """Begin a call of ``function`` with the arguments ``values``."""
        if len(path.frames) > _DEPTH or 2 not in function.blocks:
            raise AbandonedError
        frame = Frame(function, next(self.serial), target)
        for name, value in zip(function.parameters, values, strict=False):
            path.memory.written["var", frame.number, name] = value
        return frame

    def call(self, path: Path, statement: Statement) -> list[Path]:
        """Follow a call into a function of the module, or apply what one of the kernel does."""
        name, target, *arguments = statement.arguments
        if name == ".DEFERRED_INIT":  # the compiler sets a variable that the source does not
            return [path]
        target = "" if target == "NULL" else target
        values = [self.value(path, parse_operand(each)) for each in arguments]
        callee = self._callee(path, name)
        plain = callee[1] if callee[0] == "obj" else ""
        function = self.program.find(plain, path.frames[-1].function)
        effect = effect_of(plain)
        if function and (effect in ("unknown", "none") or function.file in self.own):
            path.frames.append(self.enter(path, function, target, values))
            return [path]
        if callee[0] == "mem" and callee[1][0] == "fld" and callee[1][2] == "report_new":
            return self._provider(path, target, values)
        if plain in ("__builtin_expect", "__builtin_expect_with_probability"):
            self._result(path, target, values[0])
            return [path]
        if plain in ("__builtin_unreachable", "panic"):
            raise AbandonedError
        result = 0 if plain == "__builtin_constant_p" else self.new()
        self._apply(path, effect, plain, values)
        self._result(path, target, result)
        return [path]

    def _callee(self, path: Path, name: str) -> Term:
        if name.startswith("."):  # a function within the compiler
            return ("obj", f"__builtin_{name}")
        expression = parse_operand(name)
        if expression[0] == "name" and not path.frames[-1].function.is_local(expression[1]):
            return ("obj", expression[1].partition("D.")[0])
        value = self.value(path, expression)
        return value if isinstance(value, tuple) else ("new", 0)

    def _apply(self, path: Path, effect: str, name: str, values: list[Value]) -> None:
        memory = path.memory
        if effect == "free":
            self._free(path, name, values[FREES[name]])
            return
        if name not in ("_printk",) and effect in ("none", "copy", "write"):
            for value in values:
                if value in path.freed and value not in path.deferred:
                    self.note(path, "use", value)
        if effect == "wake":
            # A task that waits for an object may free it; one of the whole module may run later.
            root = root_of(values[0])
            effect = "none" if isinstance(root, tuple) and root[0] == "obj" else "unknown"
        if effect == "copy":
            memory.copy_aggregate(values[0], values[1], next(self.serial))
        elif effect == "set":
            value = 0 if values[1:2] == [0] or len(values) == 2 else self.new()
            memory.store(values[0], value, next(self.serial))
        elif effect == "write":
            self._write_arguments(path, values)
        elif effect == "unknown":
            self._write_arguments(path, values)
            memory.forget(next(self.serial))

    def _write_arguments(self, path: Path, values: list[Value]) -> None:
        for value in values:
            if isinstance(value, tuple) and value[0] in ("var", "fld", "idx", "obj"):
                path.memory.store(value, self.new(), next(self.serial))

    def _free(self, path: Path, name: str, value: Value) -> None:
        if isinstance(value, int) or path.facts.decide("eq", value, 0):
            return
        if mentions(value, ("undef",)):
            raise AbandonedError
        if value in path.freed:
            self.note(path, "free", value)
            return
        valid = next(path.facts.assume("gt", value, 0), None)
        if valid is None:
            return  # an error pointer, which is not freed
        path.facts = valid
        place = next((f for f in reversed(path.frames) if f.function.file in self.own), None)
        path.freed[value] = line_of(place) if place else ""
        if name == "kvfree_call_rcu":
            path.deferred |= {value}

    def _provider(self, path: Path, target: str, values: list[Value]) -> list[Path]:
        """A provider fails and touches nothing, or it makes a report."""
        failed, made = path, path.copy()
        error, report = self.new(), self.new()
        failed.facts.ranges[error] = (-4095, -1, frozenset())
        self._result(failed, target, error)
        kind = made.frames[-1].function.types.get(target, "")
        returns_pointer = kind.endswith("*") or (not kind and len(values) > 2)
        made.facts.ranges[report] = (1, MAX_SIGNED, frozenset())
        for value in values:
            if isinstance(value, tuple) and value[0] in ("var", "fld", "idx", "obj"):
                self._fill(made, value)
        self._result(made, target, report if returns_pointer else 0)
        return [failed, made]

    def _fill(self, path: Path, report: Value) -> None:
        for blob in ("outblob", "auxblob", "manifestblob"):
            for name in (blob, f"{blob}_len"):
                place = ("fld", report, name)
                path.memory.store(place, self.new(), next(self.serial))
        if isinstance(report, tuple) and report[0] == "var":
            path.memory.store(report, self.new(), next(self.serial))

    def _result(self, path: Path, target: str, value: Value) -> None:
        if target:
            place = self.address(path, parse_operand(target))
            path.memory.store(place, value, next(self.serial))

    def leave(self, path: Path, statement: Statement) -> None:
        """Return from the innermost call."""
        operand = statement.arguments[0]
        value: Value = 0
        if operand not in ("NULL", ""):
            value = self.value(path, parse_operand(operand))
        if isinstance(value, tuple) and value[:1] == ("undef",) and value[2]:
            value = (*value[:3], "returned")
        frame = path.frames.pop()
        if path.frames:
            self._pass(path, frame, operand, value)
        path.memory.drop_frame(frame.number)
        if path.frames:
            return
        path.result = value
        if isinstance(value, tuple) and value[:1] == ("undef",) and len(value) > 3:
            path.unset = value[2]

    def _pass(self, path: Path, frame: Frame, operand: str, value: Value) -> None:
        """Give the result, which may be a structure, to the caller."""
        if frame.target:
            place = self.address(path, parse_operand(frame.target))
            source = ("var", frame.number, operand)
            path.memory.copy_aggregate(place, source, next(self.serial))
            path.memory.written[place] = value
