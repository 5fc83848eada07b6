# SPDX-License-Identifier: MIT
"""The journal of a run: each verdict is appended when it is reached, so that none is lost.

A journal is a file of JSON lines in the directory ``journal`` of the results::

    {"journal": 1, "settings": {...}, "command": "tsm-harness run ..."}
    {"job": KEY, "inputs": {...}}                   what the verdicts of a job depend on
    {"job": KEY, "node": ID, "result": {...}}       a verdict; a later line replaces an earlier one
    {"ended": true}                                 the run has reported what stands above

Each line is handed to the kernel at once, so that SIGKILL costs none, and is on disk a second
later at most. A line that is cut short or damaged is passed over: its cell is run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import HostError, UsageError
from harness.report.run_json import cell_as_json, cell_from_json
from harness.verdict import CellResult, Status

__all__ = ["Journal", "newest_journal"]

_SCHEMA = 1
_DIRECTORY, _SUFFIX = "journal", ".jsonl"
_KEPT = 10  # journals of a results directory
_SYNC_SECONDS = 1.0
_NO_VERDICT = (Status.ERROR, Status.MISS)


class Journal:
    """An open journal; ``path`` is locked against another run until :meth:`close`.

    ``problem`` says why the last line could not be written, or is empty: a full disk does not
    change a verdict.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._inputs: dict[str, dict[str, str]] = {}
        self._results: dict[tuple[str, str], CellResult] = {}
        self._reported: set[tuple[str, str]] = set()
        self._synced = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(
                f"cannot write the journal {path}: {error.strerror}",
                hint="name another directory with --artifacts",
            ) from error

    @classmethod
    def create(cls, results: Path, settings: Mapping[str, str], command: str) -> Journal:
        """Start a journal below the directory ``results``; remove the oldest of many.

        Raises :class:`HostError` when it cannot be written.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}{_SUFFIX}"
        journal = cls(results / _DIRECTORY / name)
        fcntl.flock(journal._descriptor, fcntl.LOCK_EX)
        journal._write({"journal": _SCHEMA, "settings": dict(settings), "command": command})
        _remove_old(journal.path.parent)
        return journal

    @classmethod
    def resume(cls, path: Path, settings: Mapping[str, str]) -> Journal:
        """Go on with the journal of an earlier run.

        Raises :class:`UsageError` when that run is still going on or had other settings.
        """
        journal = cls(path)
        try:
            fcntl.flock(journal._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            journal.close()
            raise UsageError(
                f"the run that writes {path} is still going on", hint="wait for it, or stop it"
            ) from None
        header = journal._read()
        then = header.get("settings")
        if header.get("journal") != _SCHEMA or not isinstance(then, dict):
            journal.close()
            raise UsageError(
                f"{path} is not the journal of a run of this version", hint="run without --resume"
            )
        journal._refuse_difference(then, settings, str(header.get("command", "")))
        return journal

    def begin(self, job: str, inputs: Mapping[str, str]) -> None:
        """Record what the verdicts of ``job`` depend on.

        Raises :class:`UsageError` when the journal has verdicts of this job from other inputs.
        """
        if job in self._inputs:
            self._refuse_difference(self._inputs[job], inputs, "")
        else:
            self._inputs[job] = dict(inputs)
            self._write({"job": job, "inputs": dict(inputs)})

    def add(self, job: str, node: str, result: CellResult) -> None:
        """Append a verdict; ``node`` identifies its cell within the job."""
        self._results[job, node] = result
        self._reported.discard((job, node))
        self._write({"job": job, "node": node, "result": cell_as_json(result)})

    def decided(self, job: str) -> dict[str, CellResult]:
        """Return the cells of a job that have a verdict: neither ERROR nor MISS."""
        return {
            node: result
            for (each, node), result in self._results.items()
            if each == job and result.status not in _NO_VERDICT
        }

    def reported(self, job: str) -> dict[str, CellResult]:
        """Return the decided cells that an earlier run has reported up to its end."""
        decided = self.decided(job)
        return {node: decided[node] for each, node in self._reported if each == job}

    def close(self, *, ended: bool = False) -> None:
        """Release the journal; ``ended`` says that every verdict in it was reported."""
        if ended:
            self._write({"ended": True})
        with contextlib.suppress(OSError):
            os.fdatasync(self._descriptor)
        os.close(self._descriptor)

    def _read(self) -> dict[str, Any]:
        """Read every line; return the first one, or an empty mapping."""
        data = self.path.read_bytes()
        lines = [*_objects(data)]
        for line in lines[1:]:
            # A damaged line costs its cell only.
            with contextlib.suppress(LookupError, TypeError, ValueError, OverflowError):
                if "ended" in line:
                    self._reported = set(self._results)
                elif "inputs" in line:
                    self._inputs[str(line["job"])] = dict(line["inputs"])
                else:
                    key = (str(line["job"]), str(line["node"]))
                    self._results[key] = cell_from_json(line["result"])
                    self._reported.discard(key)
        if data and not data.endswith(b"\n"):
            self._append(b"\n")
        return lines[0] if lines else {}

    def _write(self, line: Mapping[str, object]) -> None:
        self._append(json.dumps(line).encode("ascii") + b"\n")

    def _append(self, data: bytes) -> None:
        # A write that failed may have left a part of its line.
        data = b"\n" + data if self.problem else data
        try:
            written = os.write(self._descriptor, data)
            self.problem = "" if written == len(data) else "the disk is full"
            if time.monotonic() - self._synced >= _SYNC_SECONDS:
                os.fdatasync(self._descriptor)
                self._synced = time.monotonic()
        except OSError as error:
            self.problem = error.strerror or str(error)

    def _refuse_difference(
        self, then: Mapping[str, str], now: Mapping[str, str], command: str
    ) -> None:
        names = [name for name in {**then, **now} if then.get(name) != now.get(name)]
        if not names:
            return
        self.close()
        shown = "\n".join(
            f"  {name}: {then.get(name) or 'not set'} then, {now.get(name) or 'not set'} now"
            for name in names
        )
        raise UsageError(
            f"--resume: the run in {self.path} differs from this one:\n{shown}",
            hint=f"repeat its command (`{command}`), or run without --resume"
            if command
            else "run without --resume",
        )


def newest_journal(place: Path) -> Path:
    """Return the journal file ``place``, or the newest journal of the results directory ``place``.

    Raises :class:`UsageError` when there is none.
    """
    if place.is_file():
        return place
    found = sorted((place / _DIRECTORY).glob(f"*{_SUFFIX}"))
    if not found:
        raise UsageError(
            f"--resume: {place} has no journal of a run",
            hint="name the results directory of the run, or its journal: --resume=DIRECTORY",
        )
    return found[-1]


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _remove_old(directory: Path) -> None:
    for path in sorted(directory.glob(f"*{_SUFFIX}"))[:-_KEPT]:
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # fails while a run writes it
            path.unlink()
