# SPDX-License-Identifier: MIT
"""Which columns of a run are compared: those that ``--compare`` names, and each patch's base."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.errors import UsageError
from harness.implementations.spec import parse_implementation
from harness.progress import stderr_progress
from harness.report.compare import expect_what_bases_fail
from harness.session import Session
from harness.settings import Settings
from harness.verdict import Pair, RunResult

__all__ = ["named_pair", "with_pairs"]


def named_pair(settings: Settings, before: str, after: str) -> Pair:
    """Return the pair of columns that a user names.

    A kernel has two names: that of ``--kernel``, and its release, which heads its table. Raises
    :class:`UsageError` with the columns when a name is none of them, or when both do not belong
    together.
    """
    names = {name: ("tsm", name) for name in _implementations(settings)}
    names |= {name: ("provider", name) for name in settings.providers}
    if not {before, after} <= names.keys():
        with Session(settings, stderr_progress()) as session:
            labels = {kernel: session.label(kernel) for kernel in settings.kernels}
        names |= {kernel: ("kernel", label) for kernel, label in labels.items()}
        names |= {label: ("kernel", label) for label in labels.values()}
    for name in (before, after):
        if name not in names:
            raise UsageError(
                f"--compare: the run has no column {name}", hint=f"use two of {', '.join(names)}"
            )
    (axis, first), (other, second) = names[before], names[after]
    if axis != other or first == second:
        raise UsageError(
            f"--compare {before} {after}: nothing can be compared",
            hint="name two different implementations, two kernels, or two providers",
        )
    return Pair(axis, first, second)


def with_pairs(run: RunResult, named: Pair | None, asked_for: Iterable[str]) -> RunResult:
    """Return the run with its pairs: a patch and its base each, and the ``named`` one.

    What a base fails is then expected of its patch. A base that is not among the implementations
    ``asked_for`` is not judged.
    """
    tsms = list(dict.fromkeys(result.cell.tsm for result in run.results))
    bases = {tsm: base for tsm in tsms if (base := _base_of(tsm)) in tsms}
    pairs = [Pair("tsm", base, tsm, is_base=True) for tsm, base in bases.items()]
    known = {(pair.axis, pair.before, pair.after) for pair in pairs}
    if named is not None and (named.axis, named.before, named.after) not in known:
        pairs.append(named)
    added = frozenset(bases.values()) - frozenset(asked_for)
    return expect_what_bases_fail(replace(run, pairs=tuple(pairs)), added)


def _implementations(settings: Settings) -> list[str]:
    """Return the implementations of a run, each patch followed by its base."""
    names = [name for tsm in settings.tsms for name in (tsm, _base_of(tsm))]
    return [name for name in dict.fromkeys(names) if name]


def _base_of(tsm: str) -> str:
    return parse_implementation(tsm).base
