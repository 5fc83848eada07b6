# SPDX-License-Identifier: MIT
"""The operations of an exploration, as data: what callers, the provider and the host do.

A program is a sequence of steps. Each step has a ``kind`` and a value class, which coverage
counts; ``text`` describes it in one line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.interface.names import AttributeName

__all__ = [
    "ORDINARY",
    "Behaviour",
    "CloseFile",
    "Ending",
    "Leave",
    "ListEntry",
    "MakeEntry",
    "OpenFile",
    "Overlap",
    "Program",
    "ReadAttribute",
    "ReadFile",
    "RemoveEntry",
    "Repeat",
    "Return",
    "Second",
    "StatAttribute",
    "Step",
    "Stranger",
    "TidyUp",
    "WriteAttribute",
]

_SHOWN_BYTES = 24


@dataclass(frozen=True)
class Behaviour:
    """How the provider answers the requests of a step.

    ``value`` is what ``report_new`` returns: 0, or a negative errno, or a positive number.
    ``lengths`` are those of outblob, auxblob and manifestblob in bytes. With ``keep_lengths`` the
    driver leaves the lengths of absent blobs as they were. ``vmalloc``: the blobs are vmalloc
    areas.
    """

    value: int = 0
    lengths: tuple[int, int, int] = (96, 0, 0)
    keep_lengths: bool = False
    vmalloc: bool = False

    @property
    def text(self) -> str:
        """What the provider does, in words; empty for the ordinary behaviour."""
        if self == ORDINARY:
            return ""
        if self.value:
            return f"report_new returns {self.value}"
        blobs = "+".join(map(str, self.lengths))
        text = f"report of {blobs} bytes" + (", lengths kept" if self.keep_lengths else "")
        return text + (", in vmalloc memory" if self.vmalloc else "")


ORDINARY = Behaviour()
"""A report of 96 bytes without auxblob and manifestblob."""


@dataclass(frozen=True)
class MakeEntry:
    """``mkdir``; the class has one entry, which exists while there is a provider."""

    entry: str
    value_class: str = "new name"
    kind: Literal["mkdir"] = "mkdir"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"mkdir {self.entry}"


@dataclass(frozen=True)
class RemoveEntry:
    """``rmdir``."""

    entry: str
    value_class: str = ""
    kind: Literal["rmdir"] = "rmdir"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"rmdir {self.entry}"


@dataclass(frozen=True)
class WriteAttribute:
    """Open for writing, write each piece, close.

    ``pieces`` are bytes with the offset of ``pwrite``, or None for ``write``.
    """

    entry: str
    attribute: AttributeName
    pieces: tuple[tuple[int | None, bytes], ...]
    value_class: str = "value"
    behaviour: Behaviour = ORDINARY
    kind: Literal["write"] = "write"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"{_written(self.pieces)} > {self.entry}/{self.attribute}" + _with(self.behaviour)


@dataclass(frozen=True)
class Repeat:
    """Write ``data``, ``rounds`` times, by a loop in the guest.

    A text is written through one open file. The nonce is committed at close, so that each round
    opens the file anew.
    """

    entry: str
    attribute: AttributeName
    data: bytes
    rounds: int
    value_class: str = "many writes"
    behaviour: Behaviour = ORDINARY
    kind: Literal["repeat"] = "repeat"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"{self.rounds} times: {_bytes(self.data)} > {self.entry}/{self.attribute}"


@dataclass(frozen=True)
class ReadAttribute:
    """Open, read in pieces of ``chunk`` bytes to the end, close; ``offset`` starts with pread.

    ``nobody``: by a caller without privileges.
    """

    entry: str
    attribute: AttributeName
    chunk: int = 65536
    offset: int | None = None
    nobody: bool = False
    value_class: str = "whole"
    behaviour: Behaviour = ORDINARY
    kind: Literal["read"] = "read"

    @property
    def text(self) -> str:
        """The step in one line."""
        how = f" by {self.chunk}" if self.chunk < _WHOLE else ""
        how += f" from {self.offset}" if self.offset is not None else ""
        how += " as nobody" if self.nobody else ""
        return f"read {self.entry}/{self.attribute}{how}" + _with(self.behaviour)


_WHOLE = 65536


@dataclass(frozen=True)
class OpenFile:
    """Open an attribute for reading and keep it open as descriptor ``slot``."""

    slot: str
    entry: str
    attribute: AttributeName
    value_class: str = ""
    kind: Literal["open"] = "open"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"{self.slot} = open {self.entry}/{self.attribute}"


@dataclass(frozen=True)
class ReadFile:
    """Read from an open descriptor: ``pread`` at ``offset``, or ``read`` at its position."""

    slot: str
    count: int
    offset: int | None = None
    value_class: str = "at position"
    behaviour: Behaviour = ORDINARY
    kind: Literal["read open file"] = "read open file"

    @property
    def text(self) -> str:
        """The step in one line."""
        where = f" at {self.offset}" if self.offset is not None else ""
        return f"read {self.count} bytes{where} of {self.slot}" + _with(self.behaviour)


@dataclass(frozen=True)
class CloseFile:
    """Close an open descriptor."""

    slot: str
    value_class: str = ""
    kind: Literal["close"] = "close"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"close {self.slot}"


@dataclass(frozen=True)
class ListEntry:
    """List the files of an entry."""

    entry: str
    value_class: str = ""
    kind: Literal["list"] = "list"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"ls {self.entry}"


@dataclass(frozen=True)
class StatAttribute:
    """``stat`` of an attribute."""

    entry: str
    attribute: AttributeName
    value_class: str = ""
    kind: Literal["stat"] = "stat"

    @property
    def text(self) -> str:
        """The step in one line."""
        return f"stat {self.entry}/{self.attribute}"


@dataclass(frozen=True)
class Leave:
    """The provider unregisters."""

    value_class: str = ""
    kind: Literal["leave"] = "leave"

    @property
    def text(self) -> str:
        """The step in one line."""
        return "the provider leaves"


@dataclass(frozen=True)
class Return:
    """A provider registers; the masks say which attributes it shows."""

    name: str = "tsm_sim"
    floor: int = 0
    attrs: int = 0x7F
    bin_attrs: int = 0xF
    value_class: str = ""
    kind: Literal["return"] = "return"

    @property
    def text(self) -> str:
        """The step in one line."""
        masks = f"{self.attrs:#x}/{self.bin_attrs:#x}"
        return f"provider {self.name} registers, floor {self.floor}, shows {masks}"


@dataclass(frozen=True)
class Second:
    """Another provider tries to register beside the first."""

    value_class: str = ""
    kind: Literal["second"] = "second"

    @property
    def text(self) -> str:
        """The step in one line."""
        return "another provider tries to register"


@dataclass(frozen=True)
class Stranger:
    """A provider that was never registered tries to unregister."""

    value_class: str = ""
    kind: Literal["stranger"] = "stranger"

    @property
    def text(self) -> str:
        """The step in one line."""
        return "a provider that is not registered tries to unregister"


@dataclass(frozen=True)
class TidyUp:
    """Close every file, remove every entry, let the provider leave, reload the modules.

    Nothing of the implementation may be left then.
    """

    value_class: str = ""
    kind: Literal["tidy up"] = "tidy up"

    @property
    def text(self) -> str:
        """The step in one line."""
        return "close the files, remove the entries, the provider leaves, the modules are reloaded"


Ending = Literal["answer", "fail", "kill", "interrupt"]
"""How a held request ends: the provider answers or fails it, or its caller is killed or
interrupted."""

Single = (
    MakeEntry
    | RemoveEntry
    | WriteAttribute
    | Repeat
    | ReadAttribute
    | OpenFile
    | ReadFile
    | CloseFile
    | ListEntry
    | StatAttribute
    | Leave
    | Return
    | Second
    | Stranger
    | TidyUp
)


@dataclass(frozen=True)
class Overlap:
    """While the provider holds the request of ``first``, other callers make ``others``.

    Each of ``others`` runs in an actor of its own and may wait for the held one. Then ``ending``
    happens: for "kill" and "interrupt" to the caller number ``victim``, of whom ``first`` is 0.
    Then other callers make ``later``. Last, the requests are answered, and every call must return.
    """

    first: ReadAttribute
    others: tuple[Single, ...]
    ending: Ending = "answer"
    victim: int = 0
    later: tuple[Single, ...] = ()
    kind: Literal["overlap"] = "overlap"

    @property
    def calls(self) -> tuple[Single, ...]:
        """Every call, in the order in which they begin."""
        return (self.first, *self.others, *self.later)

    @property
    def value_class(self) -> str:
        """What happens meanwhile, and how it ends."""
        made = [f"{each.kind} {getattr(each, 'attribute', '')}".strip() for each in self.calls[1:]]
        meanwhile = ", ".join(made)
        return f"{meanwhile or 'nothing'}; {self.ending} {self.victim}"

    @property
    def text(self) -> str:
        """The step in one line."""
        meanwhile = "; ".join(other.text for other in self.others) or "nothing"
        ending = f"{self.ending} caller {self.victim}" if self.victim else self.ending
        later = "".join(f"; then: {each.text}" for each in self.later)
        return f"[{self.first.text}] held; meanwhile: {meanwhile}; then: {ending}{later}"


Step = Single | Overlap


@dataclass(frozen=True)
class Program:
    """Steps that are made in one pristine guest. ``title`` says where they come from."""

    steps: tuple[Step, ...]
    title: str = ""

    @property
    def nonces(self) -> tuple[bytes, ...]:
        """Everything that is written to a nonce in one call."""
        return tuple(
            data
            for step in self.steps
            if isinstance(step, WriteAttribute) and step.attribute == "inblob"
            for _, data in step.pieces
        )


def _bytes(data: bytes) -> str:
    shown = repr(data[:_SHOWN_BYTES])[1:]
    return f"{len(data)} bytes {shown}…" if len(data) > _SHOWN_BYTES else shown


def _written(pieces: tuple[tuple[int | None, bytes], ...]) -> str:
    if not pieces:
        return "nothing"
    return " + ".join(
        _bytes(data) + (f" at {offset}" if offset is not None else "") for offset, data in pieces
    )


def _with(behaviour: Behaviour) -> str:
    return f" ({behaviour.text})" if behaviour.text else ""
