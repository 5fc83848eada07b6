# SPDX-License-Identifier: MIT
"""The run report as JSON, schema 2: see ``run.schema.json`` beside this file.

Within a schema number, keys are only added. A reader ignores keys that it does not know, and
refuses another number.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.oracle.printable import printable
from harness.report.compare import AXES, Change, Comparison, Difference, compare
from harness.verdict import (
    Cause,
    Cell,
    CellResult,
    ClaimSummary,
    Pair,
    Patchset,
    RunResult,
    SourceExcerpt,
    Status,
    summary,
)

__all__ = ["SCHEMA", "cell_as_json", "cell_from_json", "run_as_json", "run_from_json"]

SCHEMA = 2
_MAX_DETAIL = 65536
_CELL = ("claim", "scenario", "kernel", "tsm", "provider", "seed")


def run_as_json(run: RunResult) -> dict[str, object]:
    """Return the run report as JSON values."""
    return {
        "schema": SCHEMA,
        "host": dict(run.host),
        "interrupted": run.interrupted,
        "cells": [cell_as_json(result) for result in run.results],
        "summary": summary(run.results),
        "claims": {ident: asdict(claim) for ident, claim in run.claims.items()},
        "undecided": dict(run.undecided),
        "notes": list(run.notes),
        "command": run.command,
        "date": run.date,
        "subjects": dict(run.subjects),
        "patchsets": {tsm: asdict(patchset) for tsm, patchset in run.patchsets.items()},
        "comparisons": [_comparison_as_json(compare(run.results, pair)) for pair in run.pairs],
    }


def _comparison_as_json(comparison: Comparison) -> dict[str, object]:
    changed = [each for each in comparison.differences if each.change is not Change.UNCHANGED]
    return {
        **asdict(comparison.pair),
        "counts": {change.value: count for change, count in comparison.counts.items()},
        "changes": [_difference_as_json(each, comparison.pair) for each in changed],
    }


def _difference_as_json(difference: Difference, pair: Pair) -> dict[str, object]:
    others = [axis for axis in AXES if axis != pair.axis]
    return {
        "claim": difference.claim,
        "scenario": difference.scenario,
        **dict(zip(others, difference.where, strict=True)),
        "change": difference.change.value,
        "before": dict(Counter(each.status.value for each in difference.before)),
        "after": dict(Counter(each.status.value for each in difference.after)),
        "evidence": printable(difference.evidence, _MAX_DETAIL),
    }


def run_from_json(text: bytes) -> RunResult:
    """Read a run report; raises :class:`HarnessError` if it is none, or of another schema."""
    try:
        data = json.loads(text)
        schema = data["schema"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise HarnessError(f"this is not a run report: {error!r}") from error
    if schema != SCHEMA:
        raise HarnessError(
            f"the run report has schema {schema!r}; this harness reads schema {SCHEMA}",
            hint="use the same version of tsm-harness for writing and reading",
        )
    try:
        return RunResult(
            [cell_from_json(cell) for cell in data["cells"]],
            dict(data["host"]),
            bool(data["interrupted"]),
            [str(note) for note in data["notes"]],
            claims={ident: ClaimSummary(**claim) for ident, claim in data["claims"].items()},
            undecided={str(ident): str(reason) for ident, reason in data["undecided"].items()},
            pairs=tuple(_pair_from_json(each) for each in data.get("comparisons", ())),
            command=str(data.get("command", "")),
            date=str(data.get("date", "")),
            subjects={str(tsm): str(text) for tsm, text in data.get("subjects", {}).items()},
            patchsets={
                str(tsm): Patchset(**{**each, "digests": tuple(each["digests"])})
                for tsm, each in data.get("patchsets", {}).items()
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise HarnessError(f"a key of the run report is missing or wrong: {error!r}") from error


def _pair_from_json(data: Mapping[str, Any]) -> Pair:
    return Pair(**{name: data[name] for name in Pair.__dataclass_fields__})


def cell_as_json(result: CellResult) -> dict[str, object]:
    """Return one result as JSON values; ``duration_s`` is in seconds, to the millisecond."""
    return {
        **{name: getattr(result.cell, name) for name in _CELL},
        "status": result.status.value,
        "expected": result.expected.value,
        "as_expected": result.as_expected,
        "duration_s": round(result.duration_s, 3),
        "detail": printable(result.detail, _MAX_DETAIL),
        "cause": asdict(result.cause) if result.cause else None,
        "source": asdict(result.source) if result.source else None,
        "timeline": list(result.timeline),
        "rerun": result.rerun,
        "artifacts": str(result.artifacts) if result.artifacts else None,
        "infrastructure_retries": result.infrastructure_retries,
    }


def cell_from_json(data: Mapping[str, Any]) -> CellResult:
    """Return the result; raises LookupError, TypeError, ValueError or OverflowError otherwise."""
    return CellResult(
        Cell(**{name: str(data[name]) for name in _CELL[:-1]}, seed=int(data["seed"])),
        Status(data["status"]),
        Status(data["expected"]),
        float(data["duration_s"]),
        str(data["detail"]),
        str(data["rerun"]),
        Path(data["artifacts"]) if data["artifacts"] else None,
        tuple(str(line) for line in data["timeline"]),
        int(data["infrastructure_retries"]),
        Cause(**data["cause"]) if data["cause"] else None,
        _source_from_json(data.get("source")),
    )


def _source_from_json(data: Mapping[str, Any] | None) -> SourceExcerpt | None:
    if data is None:
        return None
    return SourceExcerpt(
        str(data["function"]),
        str(data["file"]),
        int(data["line"]),
        int(data["first"]),
        tuple(str(line) for line in data["lines"]),
    )
