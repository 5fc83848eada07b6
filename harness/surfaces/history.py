# SPDX-License-Identifier: MIT
"""Everything a scenario wrote to and read from a surface, for the content oracle."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.oracle.content import OptionWrite, ReportRead

__all__ = ["History"]


@dataclass
class History:
    """Reads of blobs and writes of options, in the order their outcomes became known."""

    reads: list[ReportRead] = field(default_factory=list)
    writes: list[OptionWrite] = field(default_factory=list)
