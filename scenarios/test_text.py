# SPDX-License-Identifier: MIT
"""Claims that the sources of an implementation decide: K4, and R1 and T4 for a user's sources.

A scenario here fails only for what is proved. What the sources leave open, other scenarios of the
claim decide by running the implementation.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.claims import claim
from harness.implementations.source_text import SourceText
from harness.oracle.expect import demand


@claim("K4", only="class", sources="any")
def test_the_class_is_a_constant(source_text: SourceText) -> None:
    called = source_text.symbols() & {"class_create", "__class_create"}  # the latter up to 6.3
    demand(not called, "the class is created with class_create()")


@claim("R1", sources="user")
def test_a_freed_pointer_is_not_used_again(source_text: SourceText) -> None:
    found = source_text.kept_pointers()
    observed = f"a pointer is used again after a free: {'; '.join(found)}"
    demand(not found, observed, place=_place(found))


@claim("T4", sources="user")
def test_a_returned_variable_was_set(source_text: SourceText) -> None:
    found = source_text.unset_results()
    observed = f"on a path to this return, the variable is not set: {'; '.join(found)}"
    demand(not found, observed, place=_place(found))
    warnings = source_text.warnings()
    demand(not warnings, f"the compiler warns: {'; '.join(warnings)}")


def _place(found: Sequence[str]) -> str:
    """Return FILE:LINE of the first proof."""
    return found[0].partition(": ")[0] if found else ""
