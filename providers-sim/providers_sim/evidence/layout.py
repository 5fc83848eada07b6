# SPDX-License-Identifier: MIT
"""Fixed binary layouts: little-endian members one after another, reserved ones all zero."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import Any

from providers_sim.errors import EvidenceError

__all__ = ["Layout"]


class Layout:
    """A structure of ``(name, format)`` members, formats as ``struct`` has them.

    A member without a name is reserved and must be zero. ``size`` is in bytes.
    """

    def __init__(self, what: str, *members: tuple[str, str]) -> None:
        self._what = what
        self._members = members
        self._struct = Struct("<" + "".join(form for _, form in members))
        self.size = self._struct.size

    def encode(self, source: object) -> bytes:
        """Encode the attributes of ``source``; EvidenceError when one does not fit exactly."""
        values = [getattr(source, name) if name else b"" for name, _ in self._members]
        for (name, form), value in zip(self._members, values, strict=True):
            if name and isinstance(value, bytes) and len(value) != Struct(form).size:
                raise EvidenceError(f"{name} of {self._what} has {len(value)} bytes, not {form}")
        try:
            return self._struct.pack(*values)
        except StructError as error:
            raise EvidenceError(f"a member of {self._what} does not fit: {error}") from None

    def decode(self, data: bytes, *, lenient: bool = False) -> dict[str, Any]:
        """Return the members by name; EvidenceError on a wrong size or a reserved byte not 0.

        ``lenient`` accepts any reserved bytes: for what is shown, not believed.
        """
        if len(data) != self.size:
            raise EvidenceError(f"{self._what} has {self.size} bytes, not {len(data)}")
        values = self._struct.unpack(data)
        found = {}
        for (name, _), value in zip(self._members, values, strict=True):
            if name:
                found[name] = value
            elif any(value) and not lenient:
                raise EvidenceError(f"a reserved byte of {self._what} is not 0")
        return found
