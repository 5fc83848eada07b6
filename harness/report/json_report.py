# SPDX-License-Identifier: MIT
"""The JSON report, schema 1.

``{"schema": 1, "host": {…}, "cells": [{…}, …], "summary": {"PASS": n, …}, "undecided": {claim:
why}, "notes": [text, …]}``; see ``cell_as_json`` for the keys of a cell. Keys are only ever added
within a schema number.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HostError
from harness.oracle.printable import printable
from harness.verdict import Cell, CellResult, Status, summary

__all__ = ["SCHEMA", "cell_as_json", "cell_from_json", "write_atomically", "write_json"]

SCHEMA = 1
MAX_DETAIL = 65536


def cell_as_json(result: CellResult) -> dict[str, object]:
    """One result as the JSON report holds it; ``duration_s`` in seconds, to the millisecond."""
    cell = result.cell
    return {
        "claim": cell.claim,
        "scenario": cell.scenario,
        "kernel": cell.kernel,
        "tsm": cell.tsm,
        "provider": cell.provider,
        "seed": cell.seed,
        "status": result.status.value,
        "expected": result.expected.value,
        "duration_s": round(result.duration_s, 3),
        "detail": printable(result.detail, MAX_DETAIL),
        "timeline": list(result.timeline),
        "rerun": result.rerun,
        "artifacts": str(result.artifacts) if result.artifacts else None,
        "infrastructure_retries": result.infrastructure_retries,
    }


def cell_from_json(data: Mapping[str, Any]) -> CellResult:
    """The inverse; raises LookupError, TypeError or ValueError for what is no such cell."""
    names = ("claim", "scenario", "kernel", "tsm", "provider", "seed")
    return CellResult(
        Cell(**{name: data[name] for name in names}),
        Status(data["status"]),
        Status(data["expected"]),
        float(data["duration_s"]),
        str(data["detail"]),
        str(data["rerun"]),
        Path(data["artifacts"]) if data["artifacts"] else None,
        tuple(str(line) for line in data["timeline"]),
        int(data["infrastructure_retries"]),
    )


def write_json(
    path: Path,
    results: Sequence[CellResult],
    host: Mapping[str, object],
    undecided: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> None:
    """Write the report; readers see the old file or the new one, never a part.

    ``undecided`` are claims that no scenario decides, and why; ``notes`` say what was done to what
    the user brought. Raises HostError when the file cannot be written.
    """
    report = {
        "schema": SCHEMA,
        "host": dict(host),
        "cells": [cell_as_json(result) for result in results],
        "summary": summary(results),
        "undecided": dict(undecided or {}),
        "notes": list(notes),
    }
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode("ascii"))


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file's content in one step; raises HostError when that cannot be done."""
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)  # /dev/stdout, a pipe: to be written to, not replaced
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise HostError(
            f"cannot write the report {path}: {error.strerror or error}",
            hint="check that the directory is writable and the disk is not full",
        ) from error
