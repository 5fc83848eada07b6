# SPDX-License-Identifier: MIT
"""Faults of a TEE's host, by name: each provider has a table of them.

A row has a function that simulates the fault on the provider, with the consequences that the
kernel's driver would suffer, and states what a reader in the guest gets.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from providers_sim.errors import ProviderError, ProviderRefusal
from providers_sim.options import parse_value
from tsmw.constants import Status
from tsmw.report import Evidence, ReportRequest

__all__ = ["Answer", "FaultTable", "ProviderFault", "parameters", "refuse"]

P = ParamSpec("P")
S = TypeVar("S")

_MAX_SECONDS = 1e9

# By name: annotations are strings, and some are only importable for type checkers.
_KINDS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str, "Status": Status}


class _Checker(Protocol):
    def check(self, request: ReportRequest) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one request ends: with ``evidence``, or with ``refusal``.

    Times are in seconds of real hardware, from the request's arrival: the guest's driver gets its
    answer after ``after_s``; the host has finished the request at ``done_s`` if that is later
    (infinity: only when ``Provider.complete`` is called). ``then`` changes the provider at the
    moment the guest is answered. With ``keep_lengths`` the driver leaves the lengths of absent
    blobs unchanged; with ``vmalloc`` it hands over blobs in vmalloc memory. ``no_effect``: the
    request would end in the same way without the fault.
    """

    evidence: Evidence | None = None
    refusal: ProviderRefusal | None = None
    after_s: float = 0.0
    done_s: float | None = None
    then: Callable[[], None] | None = None
    keep_lengths: bool = False
    vmalloc: bool = False
    no_effect: bool = False

    def same_as(self, other: Answer) -> bool:
        """Whether a guest, and the provider after it, see the same with both answers."""
        hidden = self.then is None and self.after_s == 0.0 and self.done_s is None
        plain = not (self.keep_lengths or self.vmalloc)
        return (
            hidden
            and plain
            and self.evidence == other.evidence
            and _reply_of(self.refusal) == _reply_of(other.refusal)
        )

    def __post_init__(self) -> None:
        if not isinstance(self.after_s, (int, float)) or not 0 <= self.after_s <= _MAX_SECONDS:
            raise ProviderError(f"an answer comes within {_MAX_SECONDS} s, not {self.after_s!r}")


def _reply_of(refusal: ProviderRefusal | None) -> tuple[Status, int] | None:
    """What a guest sees of a refusal; its reason is for people."""
    return None if refusal is None else (refusal.status, refusal.value)


def refuse(
    provider: _Checker,
    request: ReportRequest,
    status: Status,
    reason: str,
    *,
    value: int = 0,
    **answer: Any,  # noqa: ANN401 - members of Answer
) -> Answer:
    """Refuse a request with ``status``, unless ``provider.check`` raises another refusal.

    ``value`` goes with the status (see ProviderRefusal), ``answer`` has other members of Answer.
    """
    provider.check(request)
    return Answer(refusal=ProviderRefusal(status, reason, value=value), **answer)


def parameters(function: Callable[..., object]) -> dict[str, tuple[type, object]]:
    """Return type and default of each parameter whose type can be parsed from text."""
    found = inspect.signature(function).parameters.values()
    return {p.name: (_KINDS[p.annotation], p.default) for p in found if p.annotation in _KINDS}


@dataclass(frozen=True, slots=True)
class ProviderFault:
    """One fault: ``summary`` describes it, ``outcome`` what a reader of a blob in the guest gets.

    ``act`` takes the provider and the request, and the fault's parameters by keyword.
    """

    name: str
    summary: str
    outcome: str
    act: Callable[..., Answer]

    @property
    def parameters(self) -> dict[str, tuple[type, object]]:
        """Type and default of each parameter."""
        return parameters(self.act)

    @property
    def spec(self) -> str:
        """The fault with its default parameters, as ``NAME[:KEY=VALUE,...]``."""
        params = ",".join(f"{name}={default}" for name, (_, default) in self.parameters.items())
        return f"{self.name}:{params}" if params else self.name

    def check(self, params: Mapping[str, object]) -> None:
        """Raise ProviderError when ``params`` has an unknown name or a value of another type."""
        known = self.parameters
        for name, value in params.items():
            kind = known[name][0] if name in known else None
            if kind is None:
                takes = ", ".join(known) or "none"
                raise ProviderError(f"fault {self.name} has no parameter {name!r} (has: {takes})")
            good = isinstance(value, (int, float) if kind is float else kind)
            if not good or isinstance(value, bool) is not (kind is bool):
                raise ProviderError(f"{name} of {self.name} is of type {kind.__name__}: {value!r}")

    def parse(self, texts: Mapping[str, str]) -> dict[str, object]:
        """Parse and check parameters given as text; ProviderError on an unknown name or value."""
        kinds = {name: kind for name, (kind, _) in self.parameters.items()}
        params = {name: parse_value(name, kinds.get(name, str), texts[name]) for name in texts}
        self.check(params)
        return params


class FaultTable(dict[str, ProviderFault]):
    """The faults of one provider by name."""

    def define(
        self, name: str, outcome: str
    ) -> Callable[
        [Callable[Concatenate[S, ReportRequest, P], Answer]],
        Callable[Concatenate[S, ReportRequest, P], Answer],
    ]:
        """Add the decorated function ``act(provider, request, *, ...)`` as the fault ``name``.

        The first line of its docstring is the fault's summary. Its parameters are keyword-only,
        with defaults, of type ``int``, ``float``, ``bool`` or ``str``.
        """

        def add(
            act: Callable[Concatenate[S, ReportRequest, P], Answer],
        ) -> Callable[Concatenate[S, ReportRequest, P], Answer]:
            summary = (inspect.getdoc(act) or "").partition("\n")[0]
            assert name not in self, name
            self[name] = ProviderFault(name, summary, outcome, act)
            return act

        return add

    def find(self, name: str) -> ProviderFault:
        """Return the fault ``name``; ProviderError, with the names there are, when unknown."""
        if name not in self:
            raise ProviderError(
                f"there is no fault {name!r}; there are: {', '.join(self) or 'none'}"
            )
        return self[name]
