# SPDX-License-Identifier: MIT
"""The tables of verdicts: one for each kernel and provider; a column for each implementation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.report.page.failures import Failures
from harness.verdict import CellResult, ClaimSummary, RunResult, Status, most_important, share

__all__ = ["Link", "Row", "Table", "Verdict", "tables_of"]

_MAX_LINKS = 12

_Members = dict[tuple[str, str], list[CellResult]]


@dataclass(frozen=True)
class Link:
    """A link to a result; ``text`` tells it from the others of its cell."""

    target: str
    text: str
    title: str


@dataclass(frozen=True)
class Verdict:
    """One cell of a table: the most important result, and links to all that are explained.

    ``target`` is the anchor of the explanation, or empty; ``more`` links have no room.
    """

    column: str
    status: Status
    share: str
    unexpected: bool
    expected: Status
    target: str
    links: tuple[Link, ...]
    more: int


@dataclass(frozen=True)
class Row:
    """One claim; ``anchor`` is the target of the way back from its failures."""

    anchor: str
    ident: str
    claim: ClaimSummary
    cells: tuple[Verdict | None, ...]


@dataclass(frozen=True)
class Table:
    """The claims on one kernel with one provider."""

    kernel: str
    provider: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def tables_of(run: RunResult, failures: Failures) -> list[Table]:
    """Arrange every result of a run."""
    places: dict[tuple[str, str], list[CellResult]] = {}
    for result in run.results:
        places.setdefault((result.cell.kernel, result.cell.provider), []).append(result)
    return [
        _table(number, results, run.claims, failures)
        for number, results in enumerate(places.values())
    ]


def _table(
    number: int,
    results: Sequence[CellResult],
    claims: Mapping[str, ClaimSummary],
    failures: Failures,
) -> Table:
    members: _Members = {}
    for result in results:
        members.setdefault((result.cell.claim, result.cell.tsm), []).append(result)
    columns = tuple(dict.fromkeys(result.cell.tsm for result in results))
    rows = tuple(
        Row(
            f"c{number}-{position}",
            ident,
            claims.get(ident, ClaimSummary("", "")),
            tuple(_verdict(members.get((ident, column), []), failures) for column in columns),
        )
        for position, ident in enumerate(dict.fromkeys(result.cell.claim for result in results))
    )
    cell = results[0].cell
    return Table(cell.kernel, cell.provider, columns, rows)


def _verdict(results: Sequence[CellResult], failures: Failures) -> Verdict | None:
    if not results:
        return None
    main = most_important(results)
    explained = [(r, n) for r in results if (n := failures.number(r)) is not None]
    links = tuple(_link(result, number, position) for position, (result, number) in
                  enumerate(explained[:_MAX_LINKS], 1))  # fmt: skip
    target = ""
    if main.status is Status.MISS:
        target = "missed"
    elif len(links) == 1:
        [target] = (link.target for link in links)
        links = ()
    elif links:
        target = f"g{failures.group(explained[0][0])}"
    return Verdict(
        main.cell.tsm,
        main.status,
        share(results, main.status),
        main.unexpected,
        main.expected,
        target,
        links,
        len(explained) - _MAX_LINKS if links else 0,
    )


def _link(result: CellResult, number: int, position: int) -> Link:
    cell = result.cell
    return Link(
        f"f{number}", str(position), f"{result.status.value}: {cell.scenario}, seed {cell.seed}"
    )
