# SPDX-License-Identifier: MIT
"""Which transitions of the model an exploration has visited, and which it has not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.explore.compare import Transition
from harness.explore.explore import Budget, Exploration
from harness.explore.systematic import STATES
from harness.explore.values import nonce_values, text_values
from harness.model.interface import InterfaceVersion

__all__ = ["Coverage", "planned_operations"]

_READ_WHOLE = 32 << 10
_MAX_SHOWN = 5

Operation = tuple[str, str, str]
"""A kind of step, an attribute, and a value class."""


def planned_operations(version: InterfaceVersion) -> set[Operation]:
    """What has to be visited: operation, attribute and value class of every write and read."""
    planned = {("write", "inblob", name) for name in nonce_values(version)}
    for attribute in version.options:
        if attribute != "inblob":
            planned |= {("write", attribute, name) for name in text_values(attribute)}
    planned |= {("read", attribute, "whole") for attribute in version.attributes}
    planned |= {("read", attribute, "nobody") for attribute in version.attributes}
    planned |= {("stat", attribute, "") for attribute in version.attributes}
    return planned | {("list", "", ""), ("second", "", ""), ("stranger", "", "")}


@dataclass(frozen=True)
class Coverage:
    """The transitions that were visited, beside those of one version of the interface.

    ``reason`` says why an operation was not reached.
    """

    visited: frozenset[Transition]
    version: InterfaceVersion
    reason: str

    @classmethod
    def of(
        cls,
        results: Iterable[Exploration],
        version: InterfaceVersion,
        budget: Budget,
        *,
        stopped: bool = False,
    ) -> Coverage:
        """The coverage of searches with the same budget; ``stopped``: by the user or an error."""
        visited: set[Transition] = set()
        reason = "the search was stopped" if stopped else "the budget ended"
        for result in results:
            visited |= result.visited
            if len(result.findings) >= budget.findings:
                reason = "the search ended with its last finding"
        return cls(frozenset(visited), version, reason)

    @property
    def missed(self) -> list[Operation]:
        """The planned operations that were not visited, in order."""
        reached = {(each.operation, each.attribute, each.value) for each in self.visited}
        return sorted(planned_operations(self.version) - reached)

    @property
    def planned_states(self) -> list[str]:
        """The classes of state in which every operation is made.

        The class has no entry while there is no provider.
        """
        gone = "provider gone, "
        return [
            state
            for state in STATES
            if self.version.kind == "configfs" or not state.startswith(gone)
        ]

    @property
    def missed_states(self) -> list[str]:
        """Those of them that were not visited."""
        found = {each.state.removeprefix("provider, ") for each in self.visited}
        found |= {each.state.partition(", ")[0] for each in self.visited}  # "no entry"
        return [state for state in self.planned_states if state not in found]

    def summary(self) -> Iterator[str]:
        """A few lines: counts, and what was not reached by operation, with the reason."""
        planned, missed = len(planned_operations(self.version)), self.missed
        states = len(self.planned_states)
        yield (
            f"coverage: {len(self.visited)} transitions; {planned - len(missed)} of {planned} "
            f"planned operations, {states - len(self.missed_states)} of {states} classes of state"
        )
        if missed or self.missed_states:
            yield f"not reached, since {self.reason}:"
        for kind, attributes in _by_kind(missed):
            yield f"  {kind} {attributes}".rstrip()
        if self.missed_states:
            yield f"  the states: {'; '.join(self.missed_states)}"
        if self.version.outblob_max > _READ_WHOLE:
            yield f"not reached: {self._long_blobs}"

    def lines(self) -> Iterator[str]:
        """Every transition that was visited, and everything that was not, one a line."""
        for each in sorted(self.visited):
            yield f"reached: {each.state}: {_text((each.operation, each.attribute, each.value))}"
        for operation in self.missed:
            yield f"not reached: {_text(operation)}; {self.reason}"
        for state in self.missed_states:
            yield f"not reached: the state {state}; {self.reason}"
        if self.version.outblob_max > _READ_WHOLE:
            yield f"not reached: {self._long_blobs}"

    @property
    def _long_blobs(self) -> str:
        return (
            f"blobs above {_READ_WHOLE} bytes, up to {self.version.outblob_max}: a reply of the "
            "guest has no room for them"
        )


def _by_kind(missed: list[Operation]) -> Iterator[tuple[str, str]]:
    """For each operation, its attributes with the number of their value classes."""
    for kind in dict.fromkeys(operation for operation, _, _ in missed):
        counts = Counter(name for operation, name, _ in missed if operation == kind and name)
        shown = [f"{name} ({number})" for name, number in counts.most_common(_MAX_SHOWN)]
        more = len(counts) - len(shown)
        yield kind, ", ".join(shown) + (f" and {more} other attributes" if more else "")


def _text(operation: Operation) -> str:
    return " ".join(part for part in operation if part)
