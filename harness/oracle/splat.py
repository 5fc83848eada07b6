# SPDX-License-Identifier: MIT
"""What is known of one splat."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.detectors import SplatKind

__all__ = ["Splat"]

_OF_A_TSM = re.compile(r"\btsm_\w{1,100}\+0x|\[tsm[-\w]{0,60}[ \]]")


@dataclass(frozen=True)
class Splat:
    """One event that the kernel reported about itself.

    ``subtype`` is the kernel's own term ("Object already free"). ``function`` and ``module`` name
    the code at fault, if the splat has it; functions of allocators, locks and detectors are left
    out. ``task`` is ``comm/pid``, ``taint`` the taint letters before this splat. The stacks are
    innermost first. ``panicked``: the kernel panicked because of it. ``repeats`` counts further
    splats of the same hang, ``omitted_lines`` the lines that ``lines`` has no room for.
    """

    kind: SplatKind
    subtype: str
    title: str
    cache: str
    function: str
    module: str
    task: str
    taint: str
    stack: tuple[str, ...]
    allocated_by: tuple[str, ...]
    freed_by: tuple[str, ...]
    lines: tuple[str, ...]
    first_sequence: int
    last_sequence: int
    time_s: float
    panicked: bool = False
    repeats: int = 0
    omitted_lines: int = 0

    @property
    def blamed(self) -> tuple[str, ...]:
        """The stack from the function at fault outwards."""
        found = self.function in self.stack
        return self.stack[self.stack.index(self.function) :] if found else self.stack

    @property
    def outside_tsm(self) -> bool:
        """Whether it is a data race outside the TSM code; kernels have many of those."""
        return self.kind is SplatKind.KCSAN and not any(map(_OF_A_TSM.search, self.lines))

    @property
    def signature(self) -> tuple[str, str, str, str]:
        """Kind, subtype, cache and function: equal for every splat of one bug."""
        return (self.kind.value, self.subtype, self.cache, self.function)
