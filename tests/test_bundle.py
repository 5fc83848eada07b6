# SPDX-License-Identifier: MIT
"""Bundles: what a FAIL leaves, and what replaying it says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.bundle import gist, read_bundle
from harness.errors import UsageError
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


def test_a_bundle_carries_the_core_that_a_user_brought(invoke: Invoke, tmp_path: Path) -> None:
    core = as_patch(tmp_path, {"if (!has_defect(DEFECT_STALE_TAIL))": "if (0)"})
    invoke("run", "T3", "--tsm", f"patch:{core}", "--artifacts", "kept")
    core.unlink()
    moved = tmp_path / "elsewhere"
    shutil.move(only_bundle(tmp_path / "kept"), moved)
    done = invoke("replay", str(moved))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same outcome 1 of 1 times: FAIL, after a nonce of" in done.stdout


def test_the_gist_leaves_out_what_changes_each_time() -> None:
    one = "the kernel reported what nobody expected (1):\n  SLUB: BUG kmalloc-2k at 0x12"
    two = "the kernel reported what nobody expected (2):\n  SLUB: BUG kmalloc-2k at 0x98"
    assert gist(one) == gist(two) == "SLUB: BUG kmalloc-#k at #x##"
    assert gist("") == ""


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"schema": 1}', "[" * 100000, '{"claim": 1, "schema": 1}'],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(text)
    with pytest.raises(UsageError, match="is not a bundle"):
        read_bundle(file)
    with pytest.raises(UsageError, match="is not a bundle"):
        read_bundle(tmp_path / "nowhere")
