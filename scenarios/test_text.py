# SPDX-License-Identifier: MIT
"""Claims that the text of a core decides: K4, and what R1 and T4 are in one that a user brings."""

from __future__ import annotations

from pathlib import Path

from harness.claims import claim
from harness.kernels.coretext import CoreText
from harness.oracle.expect import demand

_RULES = Path(__file__).parent / "rules"


@claim("K4", only="class", text="any")
def test_the_class_is_a_constant(core_text: CoreText) -> None:
    made = core_text.symbols() & {"class_create", "__class_create"}  # the latter up to 6.3
    demand(not made, "the class is made by class_create()")


@claim("R1", text="brought")
def test_what_is_freed_is_forgotten(core_text: CoreText) -> None:
    found = core_text.find(_RULES / "freed_and_kept.cocci")
    demand(not found, f"freed, and on a way out still pointed to: {'; '.join(found)}")


@claim("T4", text="brought")
def test_what_is_returned_was_set(core_text: CoreText) -> None:
    found = core_text.find(_RULES / "returned_unset.cocci")
    demand(not found, f"on a way to its return nothing has set it: {'; '.join(found)}")
    said = core_text.warnings()
    demand(not said, f"the compiler says: {'; '.join(said)}")
