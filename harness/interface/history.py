# SPDX-License-Identifier: MIT
"""Everything a scenario wrote to and read from a interface, for the content oracle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.oracle.content import OptionWrite, ReportRead

__all__ = ["History"]

_FOREVER = 1 << 63


@dataclass
class History:
    """Reads of blobs and writes of options.

    A write is there from the moment it was ordered: as long as its outcome is not known, and for
    ever when its actor died in it, it may have taken effect at any time.
    """

    reads: list[ReportRead] = field(default_factory=list)
    writes: list[OptionWrite] = field(default_factory=list)

    def begin(self, write: OptionWrite) -> int:
        """Note a write that was ordered; the number to :meth:`conclude` it with."""
        self.writes.append(replace(write, start_ns=0, end_ns=_FOREVER))
        return len(self.writes) - 1

    def conclude(self, number: int, *, start_ns: int, end_ns: int, ok: bool) -> None:
        """Note when the write was made, and whether it succeeded."""
        known = replace(self.writes[number], start_ns=start_ns, end_ns=end_ns, ok=ok)
        self.writes[number] = known
