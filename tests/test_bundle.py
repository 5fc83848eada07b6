# SPDX-License-Identifier: MIT
"""Bundles: what a run records of a FAIL, and what replay prints."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bundle import Outcome, read_bundle
from harness.errors import UsageError
from harness.verdict import Cause, Cell, CellResult, Status
from tests.test_cli import Invoke, invoke
from tests.test_user_implementation import as_patch

__all__ = ["invoke"]  # the fixture


def only_bundle(directory: Path) -> Path:
    (found,) = directory.glob("*/bundle.json")
    return found.parent


def test_a_fail_can_be_replayed(invoke: Invoke, tmp_path: Path) -> None:
    invoke("run", "R1", "K3", "--tsm", "class-posted", "--seed", "3", "--artifacts", "kept")
    bundle = next((tmp_path / "kept").glob("R1*"))
    recorded = read_bundle(bundle)
    settings = recorded.settings
    assert (settings.claims, settings.tsms, settings.seed) == (("R1",), ("class-posted",), 3)
    assert recorded.outcome.status == "FAIL"
    done = invoke("replay", str(bundle))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same outcome 1 of 1 times: FAIL, SLUB: BUG" in done.stdout
    assert "request 3 is answered, INJECT" in done.stdout
    other = json.loads((bundle / "bundle.json").read_bytes())
    (bundle / "bundle.json").write_text(json.dumps(other | {"tsm": "class-fixed", "digest": "x"}))
    done = invoke("replay", str(bundle / "bundle.json"))
    assert done.returncode == 1
    assert "the same outcome 0 of 1 times" in done.stdout
    assert "the kernel is not the recorded one" in done.stdout


def test_a_bundle_contains_the_sources_of_a_users_implementation(
    invoke: Invoke, tmp_path: Path
) -> None:
    patch = as_patch(tmp_path, {"if (!has_defect(DEFECT_STALE_TAIL))": "if (0)"})
    invoke("run", "T3", "--tsm", f"patch:{patch}", "--artifacts", "kept")
    patch.unlink()
    moved = tmp_path / "elsewhere"
    shutil.move(only_bundle(tmp_path / "kept"), moved)
    done = invoke("replay", str(moved))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same outcome 1 of 1 times: FAIL, behind a nonce of" in done.stdout


def test_outcomes_are_compared_by_status_and_cause() -> None:
    cell = Cell("R1", "test_it", "6.12", "class-posted", "sev-snp")
    cause = Cause("SLUB", "Object already free", "ensure_report")
    result = CellResult(cell, Status.FAIL, Status.FAIL, 0.1, "splats (1):\n  0x12", cause=cause)
    outcome = Outcome.of(result, "6.12", "digest")
    assert (outcome.headline, outcome.cause) == ("0x12", cause)
    for changes, same in (
        ({"detail": "splats (2):\n  0x98"}, True),
        ({"status": Status.ERROR}, False),
        ({"cause": replace(cause, function="report_read")}, False),
        ({"cause": None}, False),
    ):
        other = Outcome.of(replace(result, **changes), "6.12", "digest")
        assert outcome.same_as(other) is same


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "null",
        '{"schema": 1}',
        '{"schema": 2}',
        "[" * 100000,
        '{"claim": 1, "schema": 2}',
    ],
)
def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not a bundle"):
        read_bundle(file)
    with pytest.raises(UsageError, match="is not a bundle"):
        read_bundle(tmp_path / "nowhere")
