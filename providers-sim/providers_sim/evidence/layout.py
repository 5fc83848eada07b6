# SPDX-License-Identifier: MIT
"""Fixed binary layouts, declared by the annotations of a dataclass."""

from __future__ import annotations

from dataclasses import fields
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

from providers_sim.errors import EvidenceError

__all__ = ["U8", "U16", "U32", "U64", "Layout"]

T = TypeVar("T")

U8 = Annotated[int, "B"]
U16 = Annotated[int, "H"]
U32 = Annotated[int, "I"]
U64 = Annotated[int, "Q"]


class Layout(Generic[T]):
    """The layout of the dataclass ``kind``: its members in order, little-endian, not aligned.

    Each member is ``Annotated`` with its format, as ``struct`` defines formats: "64s" for 64
    bytes. A format may include reserved bytes, which must be zero: "4x64s" has four of them
    before the member. ``what`` names the structure in errors; ``size`` is in bytes.
    """

    def __init__(self, kind: type[T], what: str) -> None:
        self._kind = kind
        self._what = what
        hints = get_type_hints(kind, include_extras=True)
        self._names = [item.name for item in fields(kind)]  # type: ignore[arg-type]
        self._struct = Struct("<" + "".join(hints[name].__metadata__[0] for name in self._names))
        self.size = self._struct.size

    def encode(self, source: T) -> bytes:
        """Encode ``source``; EvidenceError when a member does not have exactly its size."""
        values = [getattr(source, name) for name in self._names]
        try:
            data = self._struct.pack(*values)
        except StructError as error:
            raise EvidenceError(f"a member of {self._what} does not fit: {error}") from None
        for name, value, packed in zip(self._names, values, self._struct.unpack(data), strict=True):
            if packed != value:  # struct pads or cuts bytes
                raise EvidenceError(
                    f"{name} of {self._what} has {len(value)} bytes, not {len(packed)}"
                )
        return data

    def decode(self, data: bytes, *, lenient: bool = False) -> T:
        """Decode ``data``; EvidenceError on a wrong size or a reserved byte that is not 0.

        ``lenient`` accepts any reserved bytes, for descriptions of malformed evidence.
        """
        if len(data) != self.size:
            raise EvidenceError(f"{self._what} has {self.size} bytes, not {len(data)}")
        values: tuple[Any, ...] = self._struct.unpack(data)
        decoded = self._kind(**dict(zip(self._names, values, strict=True)))
        if not lenient and self._struct.pack(*values) != data:
            raise EvidenceError(f"a reserved byte of {self._what} is not 0")
        return decoded
