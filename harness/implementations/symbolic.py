# SPDX-License-Identifier: MIT
"""The values and the memory of one execution path.

A value is an integer or a term, which is a tuple:

``("obj", name)``, ``("var", frame, name)``: address of a global object, of a local variable.
``("fld", p, name)``, ``("idx", p, i)``: address of a member or element of what ``p`` points to.
``("add", p, n)``: another offset, ``container_of()`` for instance.
``("mem", address, epoch)``: what the address held before this path wrote to it.
``("par", ...)``, ``("new", n)``: an argument of the first function; the result of a call.
``("asm", n)``: what an atomic operation returned. ``("undef", variable, line)``: not set.
``("op", code, a, b)``: anything else.

Two addresses that are not known to differ are taken to be equal when a store decides whether
a pointer is kept: knowledge is lost rather than wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ADDRESSES", "Memory", "Term", "Value", "mentions", "root_of", "stem_of"]

Term = tuple[Any, ...]
Value = int | Term

ADDRESSES = ("obj", "var", "fld", "string")
"""Kinds of terms that are valid addresses."""


def root_of(value: Value) -> Value:
    """The object or pointer that the address ``value`` was derived from."""
    while isinstance(value, tuple) and value[0] in ("fld", "idx", "add"):
        value = value[1]
    return value


def stem_of(value: Value) -> Value:
    """Like :func:`root_of`, but stops at an offset whose member is not known."""
    while isinstance(value, tuple) and value[0] in ("fld", "idx"):
        value = value[1]
    return value


def mentions(value: object, kinds: tuple[str, ...]) -> bool:
    """Whether a term of one of ``kinds`` is part of ``value``."""
    if not isinstance(value, tuple):
        return False
    return (bool(value) and value[0] in kinds) or any(mentions(part, kinds) for part in value)


def _is_below(address: Value, above: Value) -> bool:
    while isinstance(address, tuple) and address[0] in ("fld", "idx"):
        address = address[1]
        if address == above:
            return True
    return False


def _rebase(address: Term, old: Value, new: Value) -> Value:
    if address == old:
        return new
    return (address[0], _rebase(address[1], old, new), *address[2:])


def _part(value: Value, path: list[Term]) -> Value:
    """A member, ``path`` from the outside in, of an aggregate that is known as a whole."""
    if value == 0 or (isinstance(value, tuple) and value[0] == "undef"):
        return value
    if isinstance(value, tuple) and value[0] == "mem":
        address = value[1]
        for step in path:
            address = (step[0], address, step[2])
        return ("mem", address, value[2])
    return ("op", "part", value, tuple(step[2] for step in path))


@dataclass
class Memory:
    """What this path wrote, by address. ``constants`` are globals that only loading sets."""

    constants: dict[str, int]
    written: dict[Value, Value] = field(default_factory=dict)
    epoch: int = 0
    clobbered: dict[str, tuple[tuple[int, Term], ...]] = field(default_factory=dict)

    def copy(self) -> Memory:
        """An independent copy."""
        return Memory(self.constants, dict(self.written), self.epoch, dict(self.clobbered))

    def load(self, address: Value) -> Value:
        """The value at ``address``."""
        path: list[Term] = []
        place = address
        while place not in self.written:
            if not isinstance(place, tuple) or place[0] not in ("fld", "idx"):
                return self._initial(address)
            if place[0] == "idx" and self._hides(place):
                return ("op", "element", address, self.epoch)
            path.insert(0, place)
            place = place[1]
        return _part(self.written[place], path) if path else self.written[place]

    def _hides(self, element: Term) -> bool:
        """Whether a store to an element of the array may have been one to this element."""
        others = (k for k in self.written if isinstance(k, tuple) and k[:2] == element[:2])
        return any(not (isinstance(k[2], int) and isinstance(element[2], int)) for k in others)

    def _initial(self, address: Value) -> Value:
        root = root_of(address)
        if isinstance(root, tuple) and root[0] == "var":
            if any(_is_below(key, address) for key in self.written):
                return ("op", "aggregate", address, 0)
            return ("undef", root[2], "")
        if isinstance(address, tuple) and address[0] == "obj" and address[1] in self.constants:
            return self.constants[address[1]]
        name = address[2] if isinstance(address, tuple) and address[0] == "fld" else ""
        stem = stem_of(address)
        epoch = self.epoch
        for serial, other in self.clobbered.get(name, ()):
            apart = other == stem or (isinstance(stem, tuple) and stem[0] == other[0] == "obj")
            epoch = epoch if apart else max(epoch, serial)
        return ("mem", address, epoch)

    def store(self, address: Value, value: Value, serial: int) -> None:
        """Write ``value``; ``serial`` is a number that was not used before."""
        self._lose_aliases(address, serial)
        for key in [key for key in self.written if _is_below(key, address)]:
            del self.written[key]
        self.written[address] = value

    def copy_aggregate(self, target: Value, source: Value, serial: int) -> None:
        """Assign what ``source`` points to, with every member."""
        parts = {k: v for k, v in self.written.items() if _is_below(k, source)}
        self.store(target, self.load(source), serial)
        for key, value in parts.items():
            assert isinstance(key, tuple)
            self.written[_rebase(key, source, target)] = value

    def _lose_aliases(self, address: Value, serial: int) -> None:
        stem = stem_of(address)
        if not isinstance(stem, tuple) or stem[0] == "var":
            return
        name = address[2] if isinstance(address, tuple) and address[0] == "fld" else ""
        if stem[0] == "par" and not name and "struct" not in stem[1]:
            return  # a caller's buffer
        if stem == address and stem[0] not in ("obj", "par"):
            self.forget(serial)
            return
        for key in list(self.written):
            other = stem_of(key)
            if key == address or other == stem or not isinstance(other, tuple):
                continue
            if other[0] == "var" or (other[0] == "obj" and stem[0] == "obj"):
                continue
            if isinstance(key, tuple) and key[0] == "fld" and key[2] == name:
                del self.written[key]
        if name:
            self.clobbered[name] = (*self.clobbered.get(name, ()), (serial, stem))

    def forget(self, serial: int) -> None:
        """Lose everything but local variables: code that is not known ran."""
        local = (k for k in self.written if _is_local(k))
        self.written = {key: self.written[key] for key in local}
        self.epoch = serial

    def drop_frame(self, frame: int) -> None:
        """Forget the local variables of a call that has returned."""
        gone = [k for k in self.written if _is_local(k) and root_of(k)[1] == frame]  # type: ignore[index]
        for key in gone:
            del self.written[key]


def _is_local(address: Value) -> bool:
    root = root_of(address)
    return isinstance(root, tuple) and root[0] == "var"
