# SPDX-License-Identifier: MIT
"""The HTML report: one file that needs nothing else, claims down, cores across.

Each result that needs attention, or was to FAIL, has its evidence beneath the tables: what was
seen, the timeline, the kernel's words, the transcript, the command that repeats it. It is read from
the artefact directories; pieces are cut so that the file stays small enough to be mailed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.claims.catalogue import catalogue
from harness.oracle.printable import printable
from harness.report.json_report import write_atomically
from harness.verdict import CellResult, Status, most_important, share, summary

__all__ = ["write_html"]

_MOST_BYTES = 48 << 10  # of one piece of evidence
_WORDS = {
    Status.PASS: "the demand holds",
    Status.FAIL: "the reported problem was seen",
    Status.SKIP: "does not apply here",
    Status.ERROR: "could not be decided",
    Status.MISS: "was never run",
}


@dataclass(frozen=True)
class _Row:
    claim: str
    demand: str
    raised_by: str
    cells: tuple[tuple[CellResult, ...], ...]


@dataclass(frozen=True)
class _Table:
    title: str
    cores: tuple[str, ...]
    rows: tuple[_Row, ...]


def write_html(
    path: Path,
    results: Sequence[CellResult],
    host: Mapping[str, object],
    undecided: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report; raises HostError when the file cannot be written."""
    environment = Environment(
        loader=PackageLoader("harness.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [result for result in results if _has_evidence(result)]
    numbers = {id(result): number for number, result in enumerate(shown)}
    text = environment.get_template("report.html.j2").render(
        tables=_tables(results),
        shown=shown,
        number=lambda result: numbers.get(id(result)),
        evidence=_evidence,
        most_important=most_important,
        share=share,
        clean=printable,
        words=_WORDS,
        summary={word: count for word, count in summary(results).items() if count},
        surprises=sum(not result.as_expected for result in results),
        host=host,
        undecided=undecided or {},
        notes=notes,
    )
    write_atomically(path, text.encode("utf-8", "replace"))


def _has_evidence(result: CellResult) -> bool:
    return result.status in (Status.FAIL, Status.ERROR, Status.MISS) or not result.as_expected


def _tables(results: Sequence[CellResult]) -> list[_Table]:
    claims = catalogue().claims
    tables = []
    for kernel, provider in dict.fromkeys((r.cell.kernel, r.cell.provider) for r in results):
        members = [r for r in results if (r.cell.kernel, r.cell.provider) == (kernel, provider)]
        cores = tuple(dict.fromkeys(r.cell.tsm for r in members))
        rows = []
        for ident in dict.fromkeys(r.cell.claim for r in members):
            known = claims.get(ident)
            cells = tuple(
                tuple(r for r in members if (r.cell.claim, r.cell.tsm) == (ident, core))
                for core in cores
            )
            demand, raised = (known.demand, known.raised_by) if known else ("", "")
            rows.append(_Row(ident, demand, raised, cells))
        tables.append(_Table(f"{kernel}, {provider}", cores, tuple(rows)))
    return tables


def _evidence(result: CellResult) -> dict[str, str | Markup]:
    """What the artefact directory has to show, by heading."""
    directory = result.artifacts
    if directory is None:
        return {"Timeline": "\n".join(result.timeline)} if result.timeline else {}
    pieces: dict[str, str | Markup] = {}
    picture = _piece(directory / "timeline.svg")
    if picture.startswith("<svg"):
        # Written by this harness, which escapes what is a guest's.
        pieces["Timeline"] = Markup(picture)
    for heading, name in (
        ("Order of calls", "timeline.txt"),
        ("Kernel log", "kernel.log"),
        ("Provider port", "transcript.jsonl"),
        ("QEMU", "qemu.txt"),
    ):
        text = _piece(directory / name)
        if text.strip():
            pieces[heading] = printable(text, _MOST_BYTES)
    return pieces


def _piece(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError:
        return ""
    text = data[:_MOST_BYTES].decode("utf-8", "replace")
    cut = len(data) > _MOST_BYTES
    if path.suffix == ".svg":
        return "" if cut else text
    return f"{text}\n[cut: the rest is in {path.name}]" if cut else text
