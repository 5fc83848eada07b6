# SPDX-License-Identifier: MIT
"""The database of past runs: an SQLite file, which may be copied, read and deleted.

It has one row for each scenario of a run on a kernel, implementation and provider. The row of a
scenario that the run repeated counts its verdicts.
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
    """One row: how often the run reached each verdict (``counts``), and the median duration."""

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
        """The most important verdict that was reached."""
        return next(status for status in Status if status in self.counts)


def history_file(chosen: Path | None = None) -> Path:
    """Return ``chosen``, else ``$TSM_HARNESS_HISTORY``, else a file in the XDG state directory."""
    path = chosen or os.environ.get(_VARIABLE)
    return Path(path) if path else Path(platformdirs.user_state_dir("tsm-harness"), "history.db")


def record_run(path: Path, results: Sequence[CellResult], command: str) -> None:
    """Add a run; raises :class:`HostError` when the file cannot be used."""
    places: dict[tuple[str, ...], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        place = (cell.claim, cell.scenario, cell.kernel, cell.tsm, cell.provider)
        places.setdefault(place, []).append(result)
    marks = ", ".join("?" * (len(_COLUMNS) + 1))
    with _connected(path) as connection, connection:
        values = (datetime.now(UTC).isoformat(timespec="seconds"), command)
        run = connection.execute("INSERT INTO run (time, command) VALUES (?, ?)", values).lastrowid
        connection.executemany(
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
    """Return the rows of ``claims`` (of all, if empty), oldest run first; none without a file.

    Raises :class:`HostError` when the file cannot be read, or is another database.
    """
    if not path.is_file():
        return []
    condition = f"WHERE claim IN ({', '.join('?' * len(claims))})" if claims else ""
    query = f"SELECT time, {', '.join(_COLUMNS)} FROM verdict JOIN run ON run.id = run {condition}"
    with _connected(path) as connection:
        rows = connection.execute(f"{query} ORDER BY run.id", tuple(claims))
        return [_entry(row) for row in rows]


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
        with closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
            connection.executescript(_SCHEMA)
            yield connection
    except (sqlite3.Error, OSError, ValueError) as error:
        raise HostError(
            f"cannot use the history {path}: {error}",
            hint=f"move the file away, or name another with --history or {_VARIABLE}",
        ) from error
