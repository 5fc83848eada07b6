# SPDX-License-Identifier: MIT
"""The first lines of a page: the verdict on the run, then what was run, where, and when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.report.compare import Change, Comparison
from harness.verdict import CellResult, RunResult, Status

__all__ = ["facts_of", "verdict_of"]

_MAX_NAMES = 5
_VERSIONS = ("harness", "python", "qemu", "accelerator", "cpu_flags")


def verdict_of(run: RunResult, comparisons: Sequence[Comparison]) -> list[str]:
    """Return the verdict on a run in short sentences, the most important first."""
    sentences = [_changes(each) for each in comparisons if each.pair.is_base]
    sentences.append(_counted(run.results))
    if run.interrupted:
        sentences.append("The run was interrupted")
    return sentences


def _changes(comparison: Comparison) -> str:
    """Count what changed, and name the claims where they are few."""
    shown = []
    for change in (Change.FIXED, Change.BROKEN, Change.STILL_FAILING):
        members = comparison.of(change)
        names = _names(each.claim for each in members)
        shown.append(f"{len(members)} {change.value}" + (f" ({names})" if names else ""))
    return ", ".join(shown)


def _names(claims: Iterable[str]) -> str:
    """Return the claims, each once, where they are few."""
    distinct = list(dict.fromkeys(claims))
    return ", ".join(distinct) if len(distinct) <= _MAX_NAMES else ""


def _counted(results: Sequence[CellResult]) -> str:
    total = len(results)
    if not any(result.decided for result in results):
        return "No claim was decided" if total else "Nothing was run"
    unexpected = [result.cell.claim for result in results if result.unexpected]
    undecided = sum(result.status in (Status.ERROR, Status.MISS) for result in results)
    if unexpected:
        names = f": {_names(unexpected)}" if _names(unexpected) else ""
        return (
            f"{len(unexpected)} of {total} verdicts {_are(len(unexpected))} not as expected{names}"
        )
    if undecided:
        return f"{undecided} of {total} cells {_are(undecided)} without a verdict"
    return f"All {total} verdicts are as expected" if total > 1 else "The verdict is as expected"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def facts_of(run: RunResult) -> list[tuple[str, str]]:
    """Return what was run, by heading; a fact that is not known is left out."""
    host = run.host
    machine = [
        f"{host['machine']}" if "machine" in host else "",
        f"{host['cpus']} processors" if "cpus" in host else "",
        f"Linux {host['kernel']}" if "kernel" in host else "",
    ]
    facts = [
        ("Implementation", _distinct(result.cell.tsm for result in run.results)),
        ("Kernel", _distinct(result.cell.kernel for result in run.results)),
        ("Provider", _distinct(result.cell.provider for result in run.results)),
        ("Date", run.date.replace("T", " ").replace("+00:00", " UTC")),
        ("Command", run.command),
        ("Host", ", ".join(filter(None, machine))),
        ("Versions", ", ".join(_versions(host))),
    ]
    subjects = [("Subject", f"{subject} ({tsm})") for tsm, subject in run.subjects.items()]
    return [(name, text) for name, text in [*subjects, *facts] if text]


def _distinct(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))


def _versions(host: Mapping[str, object]) -> Iterable[str]:
    names = {"harness": "tsm-harness", "python": "Python", "qemu": "QEMU"}
    for key in _VERSIONS:
        value = host.get(key)
        if isinstance(value, list):
            yield "cpu " + ",".join(map(str, value))
        elif value:
            yield f"{names.get(key, key)} {value}"
