# SPDX-License-Identifier: MIT
"""The KCIDB report: a checkout, a build and tests, as the Linux Foundation's database takes them.

Schema version 5.3 of kcidb-io, which checks it. A test's path is ``tsm_harness.CLAIM.SCENARIO``.
A FAIL is sent as such also where it was expected: the database is about kernels, not about us.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import HostError, UsageError
from harness.oracle.printable import printable
from harness.report.json_report import write_atomically
from harness.verdict import CellResult

try:
    import kcidb_io
except ImportError:  # an extra of the package
    kcidb_io = None

__all__ = ["write_kcidb"]

_ORIGIN = re.compile(r"[a-z0-9_]+")
_NOT_IN_A_PATH = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_EXCERPT = 16000  # the schema has 16384
_VERSION = {"major": 5, "minor": 3}


def write_kcidb(
    path: Path, results: Sequence[CellResult], host: Mapping[str, object], origin: str
) -> None:
    """Write the report of ``origin``, the name that a sender of reports is registered under.

    Raises :class:`UsageError` for a name that cannot be one, HostError when kcidb-io is not
    installed or the file cannot be written.
    """
    if kcidb_io is None:
        raise HostError("kcidb-io is not installed", hint="pip install 'tsm-harness[kcidb]'")
    if not _ORIGIN.fullmatch(origin):
        raise UsageError(f"{origin!r} is no origin: small letters, digits and _")
    report = _report(results, host, origin, datetime.now(UTC))
    kcidb_io.schema.V5_3.validate(report)
    write_atomically(path, (json.dumps(report, indent=1) + "\n").encode("ascii"))


def _report(
    results: Sequence[CellResult], host: Mapping[str, object], origin: str, now: datetime
) -> dict[str, object]:
    kernels = list(dict.fromkeys(result.cell.kernel for result in results))
    builds = {kernel: _ident(origin, "build", kernel) for kernel in kernels}
    checkouts = {kernel: _ident(origin, "checkout", kernel) for kernel in kernels}
    machine = str(host.get("machine", "x86_64"))
    return {
        "version": dict(_VERSION),
        "checkouts": [
            {"id": checkouts[kernel], "origin": origin, "comment": printable(kernel)}
            for kernel in kernels
        ],
        "builds": [
            {
                "id": builds[kernel],
                "checkout_id": checkouts[kernel],
                "origin": origin,
                "architecture": re.sub(r"[^a-z0-9_]", "_", machine.lower()),
            }
            for kernel in kernels
        ],
        "tests": [_test(one, builds[one.cell.kernel], host, origin, now) for one in results],
    }


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
