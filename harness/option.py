# SPDX-License-Identifier: MIT
"""Declares an option once, as a field of a frozen dataclass.

The options of ``tsm-harness`` and of pytest, the arguments of worker processes, the command that
repeats a cell, the bundle of a FAIL and the reference document are derived from the declaration.
"""

from __future__ import annotations

import enum
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from harness.errors import UsageError

__all__ = ["Option", "Use", "check_ranges", "option", "options_of"]


class Use(enum.Enum):
    """What an option is for; this decides which commands accept it and where it is recorded."""

    CELL = "the cell: every command, every bundle, in a rerun when not the default; in every job"
    GUEST = "the guest: every command, every bundle, in a rerun when not the default"
    SEARCH = "exploration: commands that decide claims, every bundle, in a rerun as for a guest"
    HOST = "this machine: every command, no bundle, in a rerun when not the default"
    REPEAT = "repetition: commands that decide claims, in a rerun when not the default"
    OUTPUT = "output: commands that decide claims, in no rerun"


@dataclass(frozen=True)
class Option:
    """One declared option.

    ``name`` is the field, ``flag`` the option without its dashes, ``kind`` the type of one value.
    ``lowest`` and ``highest`` bound an integer; ``variable`` is the environment variable that
    gives the default. A ``positional`` option is an argument of ``tsm-harness``.
    """

    name: str
    flag: str
    help: str
    use: Use
    kind: type
    default: Any
    repeatable: bool
    lowest: int | None
    highest: int | None
    variable: str
    positional: bool

    @property
    def recorded(self) -> bool:
        """Whether a bundle holds the value."""
        return self.use in (Use.CELL, Use.GUEST, Use.SEARCH)

    @property
    def key(self) -> str:
        """The name of the value for one cell, in JSON."""
        return self.flag if self.repeatable else self.name

    def values(self, holder: object) -> tuple[Any, ...]:
        """The values in ``holder``, an instance of the declaring class; empty when unset."""
        value = getattr(holder, self.name)
        if self.repeatable:
            return tuple(value)
        return () if value is None else (value,)


def option(
    default: Any,  # noqa: ANN401 - the field's type
    help: str,  # noqa: A002 - what click and argparse call it
    *,
    flag: str,
    use: Use,
    lowest: int | None = None,
    highest: int | None = None,
    variable: str = "",
    positional: bool = False,
) -> Any:  # noqa: ANN401 - what dataclasses.field returns
    """Declare a field that is an option; the arguments are those of :class:`Option`."""
    metadata = {
        "flag": flag,
        "help": help,
        "use": use,
        "lowest": lowest,
        "highest": highest,
        "variable": variable,
        "positional": positional,
    }
    return field(default=default, metadata=metadata)


def options_of(declaring: type) -> tuple[Option, ...]:
    """Return the options that a dataclass and its bases declare, in the order of ``Use``."""
    hints = get_type_hints(declaring)
    found = []
    for item in fields(declaring):
        if "flag" not in item.metadata:
            continue
        assert item.default is not MISSING
        hint = hints[item.name]
        kinds = [kind for kind in get_args(hint) or (hint,) if kind not in (type(None), ...)]
        assert kinds[0] in (int, str, Path), f"{item.name}: no front end knows {hint}"
        repeatable = get_origin(hint) is tuple
        found.append(
            Option(
                name=item.name,
                kind=kinds[0],
                default=item.default,
                repeatable=repeatable,
                **item.metadata,
            )
        )
    order = list(Use)
    return tuple(sorted(found, key=lambda each: order.index(each.use)))


def check_ranges(holder: object) -> None:
    """Raise :class:`UsageError` for an integer outside its declared range."""
    for declared in options_of(type(holder)):
        for value in declared.values(holder):
            if declared.lowest is not None and value < declared.lowest:
                raise _out_of_range(declared, value, f"use {declared.lowest} or more")
            if declared.highest is not None and value > declared.highest:
                raise _out_of_range(declared, value, f"use {declared.highest} or less")


def _out_of_range(declared: Option, value: int, hint: str) -> UsageError:
    return UsageError(f"--{declared.flag} {value} is out of range", hint=hint)
