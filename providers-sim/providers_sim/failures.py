# SPDX-License-Identifier: MIT
"""What can go wrong on a TEE's host, by name, and how a request then ends.

A provider's failures are a table: each name has a function that acts it out on the provider,
with the consequences that the real driver would suffer, and says what the guest sees.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.options import parse_word
from tsmw.report import Evidence, ReportRequest

__all__ = ["KINDS", "Answer", "Failure", "FailureTable"]

P = ParamSpec("P")
S = TypeVar("S")

_MAX_SECONDS = 1e9

KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
"""What annotations are as they are written: the types themselves may be for checkers only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one request ends: with ``evidence``, or with ``refusal``.

    ``after_s`` is how long the guest's driver takes to come to it, ``done_s`` when the host is
    done with the request, if later than that (infinity: never by itself): both in seconds of
    real hardware, from the request's arrival. ``then`` changes the provider at the moment the
    guest is answered; ``keep_lengths`` has the driver leave the lengths of absent blobs as they
    were.
    """

    evidence: Evidence | None = None
    refusal: ProviderRefusal | None = None
    after_s: float = 0.0
    done_s: float | None = None
    then: Callable[[], None] | None = None
    keep_lengths: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.after_s, (int, float)) or not 0 <= self.after_s <= _MAX_SECONDS:
            raise ProviderError(f"an answer comes within {_MAX_SECONDS} s, not {self.after_s!r}")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: ``sees`` is what the reader of a blob in the guest gets."""

    name: str
    sees: str
    act: Callable[..., Answer]

    @property
    def what(self) -> str:
        """What happens on the host, in a line."""
        return (inspect.getdoc(self.act) or "").partition("\n")[0]

    @property
    def parameters(self) -> dict[str, tuple[type, object]]:
        """Type and default of each parameter."""
        found = inspect.signature(self.act).parameters.values()
        named = [p for p in found if p.kind is p.KEYWORD_ONLY]
        return {p.name: (KINDS[p.annotation], p.default) for p in named}

    def check(self, params: Mapping[str, object]) -> None:
        """Raise ProviderError when ``params`` are not what the failure takes."""
        known = self.parameters
        for name, value in params.items():
            kind = known[name][0] if name in known else None
            if kind is None:
                takes = ", ".join(known) or "none"
                raise ProviderError(f"failure {self.name} has no parameter {name!r} (has: {takes})")
            good = isinstance(value, (int, float) if kind is float else kind)
            if not good or isinstance(value, bool) is not (kind is bool):
                raise ProviderError(f"{name} of {self.name} is of type {kind.__name__}: {value!r}")

    def parse(self, words: Mapping[str, str]) -> dict[str, object]:
        """Turn the text of parameters into their types."""
        kinds = {name: kind for name, (kind, _) in self.parameters.items()}
        return {name: parse_word(name, kinds.get(name, str), word) for name, word in words.items()}


class FailureTable(dict[str, Failure]):
    """The failures of one provider by name."""

    def row(
        self, name: str, sees: str
    ) -> Callable[
        [Callable[Concatenate[S, ReportRequest, P], Answer]],
        Callable[Concatenate[S, ReportRequest, P], Answer],
    ]:
        """Add the decorated function ``act(provider, request, *, ...)`` as the failure ``name``.

        The first line of its docstring says what happens on the host. Its parameters are
        keyword-only, with defaults, of type ``int``, ``float``, ``bool`` or ``str``.
        """

        def add(
            act: Callable[Concatenate[S, ReportRequest, P], Answer],
        ) -> Callable[Concatenate[S, ReportRequest, P], Answer]:
            assert name not in self, name
            self[name] = Failure(name, sees, act)
            return act

        return add

    def find(self, name: str) -> Failure:
        """Return the failure ``name``; ProviderError, naming those there are, when unknown."""
        failure: Any = self.get(name)
        if failure is None:
            there = ", ".join(self) or "none"
            raise ProviderError(f"there is no failure {name!r}; there are: {there}")
        assert isinstance(failure, Failure)
        return failure
