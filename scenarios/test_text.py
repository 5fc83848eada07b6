# SPDX-License-Identifier: MIT
"""Claims that the text of a core decides: K4, and what R1 and T4 are in one that a user brings."""

from __future__ import annotations

from pathlib import Path

from harness.claims import claim
from harness.implementations.source_text import SourceText
from harness.oracle.expect import demand

_RULES = Path(__file__).parent / "rules"


@claim("K4", only="class", sources="any")
def test_the_class_is_a_constant(source_text: SourceText) -> None:
    made = source_text.symbols() & {"class_create", "__class_create"}  # the latter up to 6.3
    demand(not made, "the class is made by class_create()")


@claim("R1", sources="user")
def test_what_is_freed_is_forgotten(source_text: SourceText) -> None:
    found = source_text.find(_RULES / "freed_and_kept.cocci")
    demand(not found, f"freed, and on a way out still pointed to: {'; '.join(found)}")


@claim("T4", sources="user")
def test_what_is_returned_was_set(source_text: SourceText) -> None:
    found = source_text.find(_RULES / "returned_unset.cocci")
    demand(not found, f"on a way to its return nothing has set it: {'; '.join(found)}")
    said = source_text.warnings()
    demand(not said, f"the compiler says: {'; '.join(said)}")
