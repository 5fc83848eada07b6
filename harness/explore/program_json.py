# SPDX-License-Identifier: MIT
"""Programs as JSON: what a finding's directory has in ``program.json``, and what replay reads.

A step is an object with its ``kind`` and those of its members that are not the default. Bytes are
hexadecimal digits. The decoder takes nothing else: the file may come from somebody else, and what
it holds becomes paths, lengths and loops in a guest.
"""

from __future__ import annotations

import functools
import json
import re
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from harness.bundle import read_member
from harness.errors import UsageError
from harness.model.deviations import DEVIATIONS
from harness.model.steps import Overlap, Program, Step

__all__ = ["FILE", "RecordedProgram", "read_program", "write_program"]

FILE: Final = "program.json"
"""The name of the file."""

_SCHEMA: Final = 1
_CLAIMS: Final = ("M1", "M2", "M3")
_MAX_FILE: Final = 16 << 20
_MAX_STEPS: Final = 2000
_MAX_ITEMS: Final = 64  # pieces of a write
_MAX_CALLS: Final = 3  # that begin at one point of an overlap; the guest has an actor for each
_MAX_BYTES: Final = 128 << 10
_MAX_TEXT: Final = 300

_RANGES: Final = {
    "attrs": (0, 0xFFFF),
    "bin_attrs": (0, 0xFFFF),
    "chunk": (1, 1 << 20),
    "count": (0, 1 << 20),
    "floor": (0, 1000),
    "lengths": (0, 65535),
    "offset": (0, (1 << 63) - 1),
    "pieces": (0, (1 << 63) - 1),
    "rounds": (1, 1_000_000),
    "value": (-4095, 4095),
    "victim": (0, 3),
}
"""What an integer may be, by its member: what the guest and the wire can take."""

_TEXTS: Final = {
    "entry": re.compile(r"(?!\.\.?$)[^/\0]+"),
    "name": re.compile(r"[!-~]+"),
    "slot": re.compile(r"[a-z0-9]+"),
}
"""What a text may be, by its member; any other text is only shown."""

_KINDS: Final[Mapping[str, type]] = {
    get_args(get_type_hints(each)["kind"])[0]: each for each in get_args(Step)
}


@dataclass(frozen=True)
class RecordedProgram:
    """A program with the claim that it violates and the deviations that were taken as allowed."""

    program: Program
    claim: str
    deviations: frozenset[str] = frozenset()


def write_program(path: Path, recorded: RecordedProgram) -> None:
    """Write the file; raises :class:`OSError`."""
    document = {
        "schema": _SCHEMA,
        "claim": recorded.claim,
        "deviations": sorted(recorded.deviations),
        "title": recorded.program.title,
        "steps": [_encoded(step) for step in recorded.program.steps],
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="ascii")


def read_program(path: Path) -> RecordedProgram:
    """Read the file; raises :class:`UsageError` when it is not what :func:`write_program` wrote."""
    try:
        return _recorded(json.loads(read_member(path, _MAX_FILE)))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} is not a program of an exploration: {error}",
            hint="name the directory that `tsm-harness explore` recorded for a finding",
        ) from error


# Encoding.


def _encoded(value: Any) -> Any:  # noqa: ANN401 - a member of a step
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_encoded(each) for each in value]
    if is_dataclass(value):
        return {
            each.name: _encoded(getattr(value, each.name))
            for each in fields(value)
            if each.name == "kind" or getattr(value, each.name) != each.default
        }
    return value


# Decoding: every function raises ValueError with the place of what is wrong.


def _recorded(document: Any) -> RecordedProgram:  # noqa: ANN401 - whatever JSON holds
    match document:
        case {
            "schema": int(schema),
            "claim": str(claim),
            "deviations": list(deviations),
            "title": str(title),
            "steps": list(steps),
            **rest,
        } if not rest:
            pass
        case _:
            raise ValueError("members are missing, unknown or of a wrong type")
    if schema != _SCHEMA:
        raise ValueError(f"its schema is {schema!r}, not {_SCHEMA}")
    if claim not in _CLAIMS:
        raise ValueError(f"claim {_cut(claim)} is not one of {', '.join(_CLAIMS)}")
    for each in deviations:
        if not isinstance(each, str) or each not in DEVIATIONS:
            raise ValueError(f"unknown deviation {_cut(each)}")
    if not 0 < len(steps) <= _MAX_STEPS:
        raise ValueError(f"it has {len(steps)} steps, not 1 to {_MAX_STEPS}")
    _decoded_text(title, "title", "title")
    made = tuple(_step(step, Step, f"steps[{index}]") for index, step in enumerate(steps))
    return RecordedProgram(Program(made, title), claim, frozenset(deviations))


def _step(value: Any, allowed: object, where: str) -> Any:  # noqa: ANN401 - any step
    kind = value.get("kind") if isinstance(value, dict) else None
    found = _KINDS.get(kind) if isinstance(kind, str) else None
    if found is None or found not in (get_args(allowed) or (allowed,)):
        raise ValueError(f"{where}: {_cut(kind)} is no kind of step that is possible here")
    return _members(value, found, where)


def _members(value: Any, made: Any, where: str) -> Any:  # noqa: ANN401 - a dataclass
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {_cut(value)} is not an object")
    known: dict[str, Field[Any]] = {each.name: each for each in fields(made)}
    if unknown := sorted(value.keys() - known.keys()):
        raise ValueError(f"{where}: unknown member {_cut(unknown[0])}")
    required = {name for name, each in known.items() if each.default is MISSING}
    if missing := sorted(required - value.keys()):
        raise ValueError(f"{where}: no member {missing[0]}")
    hints = _hints(made)
    step = made(
        **{
            name: _decoded(each, hints[name], name, f"{where}.{name}")
            for name, each in value.items()
        }
    )
    if isinstance(step, Overlap) and step.victim > len(step.others):
        raise ValueError(f"{where}.victim: there is no caller number {step.victim}")
    return step


_hints = functools.cache(get_type_hints)


def _decoded(value: Any, hint: Any, name: str, where: str) -> Any:  # noqa: ANN401 - any member
    origin = get_origin(hint)
    if origin is tuple:
        return _decoded_list(value, get_args(hint), name, where)
    if origin in (Union, types.UnionType):
        kinds = get_args(hint)
        if types.NoneType not in kinds:
            return _step(value, hint, where)
        return None if value is None else _decoded(value, kinds[0], name, where)
    if hint in _KINDS.values():
        return _step(value, hint, where)
    return _members(value, hint, where) if is_dataclass(hint) else _plain(value, hint, name, where)


def _plain(value: Any, hint: Any, name: str, where: str) -> Any:  # noqa: ANN401 - any member
    if get_origin(hint) is Literal and isinstance(value, str) and value in get_args(hint):
        return value
    if hint is bytes and isinstance(value, str):
        return _decoded_bytes(value, where)
    if hint is str and isinstance(value, str):
        return _decoded_text(value, name, where)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and type(value) is int:
        lowest, highest = _RANGES[name]
        if not lowest <= value <= highest:
            raise ValueError(f"{where}: {_cut(value)} is not between {lowest} and {highest}")
        return value
    raise ValueError(f"{where}: {_cut(value)} is not possible here")


def _decoded_list(value: Any, hints: tuple[Any, ...], name: str, where: str) -> tuple[Any, ...]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(value, list):
        raise ValueError(f"{where}: {_cut(value)} is not a list")
    if hints[-1] is ...:
        most = _MAX_ITEMS if name == "pieces" else _MAX_CALLS
        if len(value) > most:
            raise ValueError(f"{where}: it has {len(value)} elements, not at most {most}")
        hints = (hints[0],) * len(value)
    if len(value) != len(hints):
        raise ValueError(f"{where}: it has {len(value)} elements, not {len(hints)}")
    return tuple(
        _decoded(each, hint, name, f"{where}[{index}]")
        for index, (each, hint) in enumerate(zip(value, hints, strict=True))
    )


def _decoded_bytes(value: str, where: str) -> bytes:
    if not re.fullmatch(r"([0-9a-f]{2})*", value):
        raise ValueError(f"{where}: {_cut(value)} is not an even number of hexadecimal digits")
    if len(value) > 2 * _MAX_BYTES:
        raise ValueError(f"{where}: it has more than {_MAX_BYTES} bytes")
    return bytes.fromhex(value)


def _decoded_text(value: str, name: str, where: str) -> str:
    if len(value) > _MAX_TEXT:
        raise ValueError(f"{where}: it has more than {_MAX_TEXT} characters")
    pattern = _TEXTS.get(name)
    if pattern is not None and not pattern.fullmatch(value):
        raise ValueError(f"{where}: {_cut(value)} is not possible here")
    return value


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
