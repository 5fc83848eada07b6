# SPDX-License-Identifier: MIT
"""The run report as KCIDB JSON: one checkout and build per kernel and patch, one test per result.

The version is 5.3 of kcidb-io's schema, which checks the document. A test's path is
``tsm_harness.CLAIM.SCENARIO``. A FAIL is a FAIL there even if it was expected: the database
collects what kernels do, not whether the harness predicted it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import HostError, UsageError
from harness.oracle.printable import printable
from harness.report.format import Argument, Format
from harness.report.output import write_atomically
from harness.verdict import CellResult, Patchset, RunResult

__all__ = ["FORMAT", "write"]

_ORIGIN = re.compile(r"[a-z0-9_]+")
_NOT_IN_A_PATH = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_EXCERPT = 16000  # the schema allows 16384
_MESSAGE_ID = re.compile(r"[!-?A-~]+@[!-?A-~]+")
_VERSION = {"major": 5, "minor": 3}


def write(path: Path, run: RunResult, origin: str) -> None:
    """Write the run report of ``origin``, the sender's registered name.

    Raises :class:`UsageError` for an invalid name, and :class:`HostError` if kcidb-io is not
    installed or the file cannot be written.
    """
    try:
        import kcidb_io  # noqa: PLC0415 - an extra of the package, and slow
    except ImportError as error:
        raise HostError(
            "kcidb-io is not installed", hint="pip install 'tsm-harness[kcidb]'"
        ) from error
    if not _ORIGIN.fullmatch(origin):
        raise UsageError(
            f"{origin!r} is not a valid origin", hint="use lower-case letters, digits and _"
        )
    document = _document(run, origin, datetime.now(UTC))
    kcidb_io.schema.V5_3.validate(document)
    write_atomically(path, (json.dumps(document, indent=1) + "\n").encode("ascii"))


def _document(run: RunResult, origin: str, now: datetime) -> dict[str, object]:
    places = list(dict.fromkeys(_place(result, run) for result in run.results))
    builds = {place: _ident(origin, "build", *place) for place in places}
    checkouts = {place: _ident(origin, "checkout", *place) for place in places}
    machine = str(run.host.get("machine", "x86_64"))
    return {
        "version": dict(_VERSION),
        "checkouts": [
            {
                "id": checkouts[place],
                "origin": origin,
                **_checkout(place[0], run.patchsets.get(place[-1])),
            }
            for place in places
        ],
        "builds": [
            {
                "id": builds[place],
                "checkout_id": checkouts[place],
                "origin": origin,
                "architecture": re.sub(r"[^a-z0-9_]", "_", machine.lower()),
            }
            for place in places
        ],
        "tests": [
            _test(result, builds[_place(result, run)], run.host, origin, now)
            for result in run.results
        ],
    }


def _place(result: CellResult, run: RunResult) -> tuple[str, ...]:
    """Return what the code under test was made of: the kernel, and the patch on it if any."""
    cell = result.cell
    return (cell.kernel, cell.tsm) if cell.tsm in run.patchsets else (cell.kernel,)


def _checkout(kernel: str, patchset: Patchset | None) -> dict[str, object]:
    """Return the sources; ``patchset_files`` is left out: nobody can fetch files of this host."""
    if patchset is None:
        return {"comment": printable(kernel), "patchset_hash": ""}
    lines = "".join(f"{digest}\n" for digest in patchset.digests)
    checkout: dict[str, object] = {
        "comment": printable(f"{patchset.subject} (on {kernel})"),
        "patchset_hash": hashlib.sha256(lines.encode("ascii")).hexdigest(),
    }
    message_id = patchset.message_id.strip("<>")
    if _MESSAGE_ID.fullmatch(message_id):
        checkout["message_id"] = message_id
    return checkout


def _test(
    result: CellResult, build: str, host: Mapping[str, object], origin: str, now: datetime
) -> dict[str, object]:
    cell = result.cell
    names = ("tsm_harness", cell.claim, cell.scenario)
    parts = (cell.kernel, cell.tsm, cell.provider, str(cell.seed), *names, now.isoformat())
    test: dict[str, object] = {
        "id": _ident(origin, "test", *parts),
        "build_id": build,
        "origin": origin,
        "path": ".".join(_NOT_IN_A_PATH.sub("_", name).strip("_") for name in names),
        "status": result.status.value,
        "start_time": now.isoformat(timespec="seconds"),
        "duration": round(result.duration_s, 3),
        "comment": printable(f"{cell.claim} on {cell.tsm}, {cell.provider}"),
        "environment": {"comment": "QEMU", "misc": {"host": dict(host)}},
        "misc": {
            "tsm": cell.tsm,
            "provider": cell.provider,
            "seed": cell.seed,
            "expected": result.expected.value,
            "rerun": printable(result.rerun),
        },
    }
    if result.detail:
        test["log_excerpt"] = printable(result.detail, _MAX_EXCERPT)
    return test


def _ident(origin: str, *parts: str) -> str:
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
    return f"{origin}:{parts[0]}_{digest[:24]}"


FORMAT = Format(
    "kcidb",
    "Write the verdicts as KCIDB JSON.",
    write,
    {"origin": Argument("tsm_harness", "Name that KCIDB knows the sender by.")},
)
