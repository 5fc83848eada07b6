# SPDX-License-Identifier: MIT
"""What a scenario read from and wrote to an interface: the input of the content oracle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.oracle.content import OptionWrite, ReportRead

__all__ = ["History"]

_UNKNOWN_END = 1 << 63


@dataclass
class History:
    """Reads of blobs and writes of options.

    A write may take effect at any time from the moment it is started until its end is recorded.
    When its actor died in it, the end is never recorded.
    """

    reads: list[ReportRead] = field(default_factory=list)
    writes: list[OptionWrite] = field(default_factory=list)

    def start_write(self, write: OptionWrite) -> int:
        """Record a write that was started; returns the number for :meth:`end_write`."""
        self.writes.append(replace(write, start_ns=0, end_ns=_UNKNOWN_END))
        return len(self.writes) - 1

    def end_write(
        self, number: int, *, start_ns: int, end_ns: int, ok: bool, uncertain: bool = False
    ) -> None:
        """Record the times of a write in the guest, and whether it succeeded.

        ``uncertain``: it failed, but may have stored the value.
        """
        self.writes[number] = replace(
            self.writes[number], start_ns=start_ns, end_ns=end_ns, ok=ok, uncertain=uncertain
        )
