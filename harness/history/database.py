# SPDX-License-Identifier: MIT
"""The database file of past runs: SQLite, one row for what a run found of a scenario in a place.

It may be deleted, copied and read by anything that reads SQLite. Runs of a scenario that were
repeated are one row, with how often each verdict was reached.
"""

from __future__ import annotations

import os
import sqlite3
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from harness.errors import HostError
from harness.oracle.printable import printable
from harness.verdict import CellResult, Status, most_important

__all__ = ["Entry", "history_file", "read_history", "record_run"]

_VARIABLE = "TSM_HARNESS_HISTORY"
_BUSY_SECONDS = 10.0
_MAX_GIST = 300
_COUNTS = tuple(status.value.lower() for status in Status)
_PLACE = ("claim", "scenario", "kernel", "tsm", "provider")
_COLUMNS = (*_PLACE, *(f"n_{name}" for name in _COUNTS), "expected", "median_s", "gist")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS run (id INTEGER PRIMARY KEY, time TEXT NOT NULL, command TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS verdict (
    run INTEGER NOT NULL REFERENCES run (id),
    {", ".join(f"{name} TEXT NOT NULL" for name in _PLACE)},
    {", ".join(f"n_{name} INTEGER NOT NULL" for name in _COUNTS)},
    expected TEXT NOT NULL, median_s REAL NOT NULL, gist TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS verdict_claim ON verdict (claim);
"""


@dataclass(frozen=True)
class Entry:
    """What one run found of a scenario in a place; ``counts`` by verdict, of those reached.

    ``status`` is the most important of them, ``median_s`` the time it took, in seconds.
    """

    time: datetime
    claim: str
    scenario: str
    kernel: str
    tsm: str
    provider: str
    counts: dict[Status, int]
    expected: Status
    median_s: float
    gist: str

    @property
    def status(self) -> Status:
        """The verdict that speaks for all."""
        return next(status for status in Status if status in self.counts)


def history_file(chosen: Path | None = None) -> Path:
    """``chosen``, else ``$TSM_HARNESS_HISTORY``, else one in the user's state directory."""
    named = chosen or os.environ.get(_VARIABLE)
    return Path(named) if named else Path(platformdirs.user_state_dir("tsm-harness"), "history.db")


def record_run(path: Path, results: Sequence[CellResult], command: str) -> None:
    """Add a run; raises :class:`HostError` when it cannot be."""
    places: dict[tuple[str, ...], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        place = (cell.claim, cell.scenario, cell.kernel, cell.tsm, cell.provider)
        places.setdefault(place, []).append(result)
    marks = ", ".join("?" * (len(_COLUMNS) + 1))
    with _connected(path) as base, base:
        values = (datetime.now(UTC).isoformat(timespec="seconds"), command)
        run = base.execute("INSERT INTO run (time, command) VALUES (?, ?)", values).lastrowid
        base.executemany(
            f"INSERT INTO verdict (run, {', '.join(_COLUMNS)}) VALUES ({marks})",
            [(run, *place, *_summary(members)) for place, members in places.items()],
        )


def _summary(results: Sequence[CellResult]) -> Iterator[object]:
    counts = Counter(result.status for result in results)
    yield from (counts[status] for status in Status)
    speaker = most_important(results)
    yield speaker.expected.value
    yield statistics.median(result.duration_s for result in results)
    yield printable(speaker.detail.partition("\n")[0], _MAX_GIST)


def read_history(path: Path, claims: Sequence[str] = ()) -> list[Entry]:
    """What is known of ``claims`` (of all without any), the oldest first.

    Raises :class:`HostError` when the file cannot be read, or is no such database.
    """
    if not path.is_file():
        return []
    which = f"WHERE claim IN ({', '.join('?' * len(claims))})" if claims else ""
    query = f"SELECT time, {', '.join(_COLUMNS)} FROM verdict JOIN run ON run.id = run {which}"
    with _connected(path) as base:
        return [_entry(row) for row in base.execute(f"{query} ORDER BY run.id", tuple(claims))]


def _entry(row: Sequence[object]) -> Entry:
    time, *rest = map(str, row)
    values = dict(zip(_COLUMNS, rest, strict=True))
    counts = {status: int(values[f"n_{status.value.lower()}"]) for status in Status}
    return Entry(
        time=datetime.fromisoformat(time),
        claim=values["claim"],
        scenario=values["scenario"],
        kernel=values["kernel"],
        tsm=values["tsm"],
        provider=values["provider"],
        counts={status: number for status, number in counts.items() if number},
        expected=Status(values["expected"]),
        median_s=float(values["median_s"]),
        gist=values["gist"],
    )


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as base:
            base.executescript(_SCHEMA)
            yield base
    except (sqlite3.Error, OSError, ValueError) as error:
        raise HostError(
            f"the history {path} cannot be used: {error}",
            hint=f"name another with {_VARIABLE}, or move it away",
        ) from error
