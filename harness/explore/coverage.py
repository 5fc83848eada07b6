# SPDX-License-Identifier: MIT
"""Which transitions of the model an exploration has visited, and which it has not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from harness.explore.compare import Transition
from harness.explore.systematic import STATES
from harness.explore.values import nonce_values, text_values
from harness.model.interface import InterfaceVersion

__all__ = ["planned_transitions", "summary_lines"]


def planned_transitions(version: InterfaceVersion) -> set[tuple[str, str, str]]:
    """What has to be visited: operation, attribute and value class of every write and read."""
    planned = {("write", "inblob", name) for name in nonce_values(version)}
    for attribute in version.options:
        if attribute != "inblob":
            planned |= {("write", attribute, name) for name in text_values(attribute)}
    planned |= {("read", attribute, "whole") for attribute in version.attributes}
    planned |= {("read", attribute, "nobody") for attribute in version.attributes}
    planned |= {("stat", attribute, "") for attribute in version.attributes}
    return planned | {("list", "", ""), ("second", "", ""), ("stranger", "", "")}


def summary_lines(visited: set[Transition], version: InterfaceVersion) -> Iterator[str]:
    """The coverage in lines: states, operations, and what was not reached, with the reason."""
    states = {each.state for each in visited}
    reached = {(each.operation, each.attribute, each.value) for each in visited}
    planned = planned_transitions(version)
    yield f"classes of state: {len(states)}, operations with value classes: {len(reached)}"
    missed = planned - reached
    yield f"planned operations reached: {len(planned) - len(missed)} of {len(planned)}"
    by_operation: dict[tuple[str, str], list[str]] = defaultdict(list)
    for operation, attribute, value in sorted(missed):
        by_operation[operation, attribute].append(value)
    for (operation, attribute), values in by_operation.items():
        shown = ", ".join(value for value in values[:6] if value)
        yield f"not reached: {operation} {attribute} {shown} (the budget ended before)".strip()
    if version.outblob_max > 32 << 10:
        yield (
            f"not reached: a blob of {version.outblob_max} bytes and one byte more (a program's "
            "replies are limited; reports of up to 32768 bytes were read whole)"
        )
    unstated = [state for state in STATES if not any(state.split(", ")[-1] in s for s in states)]
    for state in unstated:
        yield f"not reached: the class of state {state!r} (the budget ended before)"
