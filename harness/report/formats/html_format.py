# SPDX-License-Identifier: MIT
"""The run report as one self-contained HTML page: tables, and the evidence of each bad result.

The evidence (what was observed, timeline, kernel log, transcript, the command that repeats the
cell) is read from the directories of recorded artifacts. Each piece is cut, so that the file stays
small enough to be mailed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from harness.oracle.printable import printable
from harness.report.format import Format
from harness.report.output import write_atomically
from harness.verdict import (
    CellResult,
    ClaimSummary,
    RunResult,
    Status,
    most_important,
    share,
    summary,
)

__all__ = ["FORMAT", "write"]

_MAX_PIECE = 48 << 10  # bytes
_MEANINGS = {
    Status.PASS: "the demand holds",
    Status.FAIL: "the reported problem was observed",
    Status.SKIP: "does not apply here",
    Status.ERROR: "could not be decided",
    Status.MISS: "was never run",
}


@dataclass(frozen=True)
class _Row:
    """One claim; ``cells`` has the results of each implementation."""

    ident: str
    claim: ClaimSummary
    cells: tuple[tuple[CellResult, ...], ...]


@dataclass(frozen=True)
class _Table:
    title: str
    implementations: tuple[str, ...]
    rows: tuple[_Row, ...]


def write(path: Path, run: RunResult) -> None:
    """Write the run report; raises :class:`HostError` if the file cannot be written."""
    from jinja2 import (  # noqa: PLC0415 - slow
        Environment,
        PackageLoader,
        StrictUndefined,
    )

    environment = Environment(
        loader=PackageLoader("harness.report.formats", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [result for result in run.results if _has_evidence(result)]
    numbers = {id(result): number for number, result in enumerate(shown)}
    text = environment.get_template("report.html.j2").render(
        run=run,
        tables=_tables(run),
        shown=shown,
        number=lambda result: numbers.get(id(result)),
        evidence=_evidence,
        most_important=most_important,
        share=share,
        clean=printable,
        meanings=_MEANINGS,
        summary={status: count for status, count in summary(run.results).items() if count},
        unexpected=sum(not result.as_expected for result in run.results),
    )
    write_atomically(path, text.encode("utf-8", "replace"))


def _has_evidence(result: CellResult) -> bool:
    return result.status in (Status.FAIL, Status.ERROR, Status.MISS) or not result.as_expected


def _tables(run: RunResult) -> list[_Table]:
    """Make one table for each kernel and provider."""
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for result in run.results:
        groups.setdefault((result.cell.kernel, result.cell.provider), []).append(result)
    return [
        _table(f"{kernel}, {provider}", results, run.claims)
        for (kernel, provider), results in groups.items()
    ]


def _table(title: str, results: Sequence[CellResult], claims: Mapping[str, ClaimSummary]) -> _Table:
    implementations = tuple(dict.fromkeys(result.cell.tsm for result in results))
    rows = []
    for ident in dict.fromkeys(result.cell.claim for result in results):
        cells = tuple(
            tuple(r for r in results if (r.cell.claim, r.cell.tsm) == (ident, tsm))
            for tsm in implementations
        )
        rows.append(_Row(ident, claims.get(ident, ClaimSummary("", "")), cells))
    return _Table(title, implementations, tuple(rows))


def _evidence(result: CellResult) -> dict[str, str | Markup]:
    """Return the recorded evidence of a result, by heading."""
    directory = result.artifacts
    if directory is None:
        return {"Timeline": "\n".join(result.timeline)} if result.timeline else {}
    pieces: dict[str, str | Markup] = {}
    picture = _piece(directory / "timeline.svg")
    if picture.startswith("<svg"):
        # Safe: report.timeline has escaped the guest's text in it.
        pieces["Timeline"] = Markup(picture)
    for heading, name in (
        ("Order of calls", "timeline.txt"),
        ("Kernel log", "kernel.log"),
        ("Provider port", "transcript.jsonl"),
        ("QEMU", "qemu.txt"),
    ):
        text = _piece(directory / name)
        if text.strip():
            pieces[heading] = printable(text, _MAX_PIECE)
    return pieces


def _piece(path: Path) -> str:
    """Return the start of a file; a picture that is too long is left out."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_PIECE + 1)
    except OSError:
        return ""
    text = data[:_MAX_PIECE].decode("utf-8", "replace")
    cut = len(data) > _MAX_PIECE
    if path.suffix == ".svg":
        return "" if cut else text
    return f"{text}\n[cut: the rest is in {path.name}]" if cut else text


FORMAT = Format("html", "Write the verdicts and the evidence as one HTML page.", write)
