# SPDX-License-Identifier: MIT
"""Bundles: what a run records of a FAIL, what replay prints, and bundles of a stranger."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bundle import Bundle, Outcome, read_bundle, write_bundle
from harness.errors import UsageError
from harness.explore.program_json import read_program
from harness.kernels.spec import KernelTree, parse_kernel
from harness.settings import Settings
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


# Bundles of a stranger


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A directory with a good bundle that has sources."""
    path = tmp_path / "bundle"
    path.mkdir()
    outcome = Outcome("test_it", "6.12", "d", "FAIL", "seen", Cause(""))
    settings = Settings(tsms=("mainline",), claims=("R1",))
    write_bundle(path, Bundle(settings, outcome), [("tsm.c", "int a;\n")])
    assert read_bundle(path).settings.tsms == (f"dir:{path}/core",)
    return path


def change(bundle: Path, **values: object) -> None:
    """Replace members of the bundle's JSON."""
    file = bundle / "bundle.json"
    file.write_text(json.dumps(json.loads(file.read_bytes()) | values))


def test_kernel_in_a_bundle_does_not_run(
    bundle: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = bundle / "linux"
    (tree / "scripts/kconfig").mkdir(parents=True)
    for name in ("Kconfig", "scripts/kconfig/merge_config.sh"):
        (tree / name).touch()
    (tree / "Makefile").write_text(f"tinyconfig:\n\ttouch {bundle}/ran\n")
    for kernel in (f"tree:{tree}", "tree:linux", str(tree / "Makefile"), "linux/Makefile"):
        change(bundle, kernel=kernel)
        monkeypatch.chdir(bundle)
        done = invoke("replay", str(bundle))
        assert done.returncode == 2, done.stdout + done.stderr
        assert "which is not a package" in done.stderr and "--kernel" in done.stderr
        assert not (bundle / "ran").exists()
    # The same kernel is used when the user names it.
    assert read_bundle(bundle, kernel=f"tree:{tree}").settings.kernels == (f"tree:{tree}",)


@pytest.mark.parametrize("kernel", ["debian:6.12", "debian:7.3", "source:6.12+kasan+lockdep"])
def test_kernel_of_a_package_is_accepted(bundle: Path, kernel: str) -> None:
    change(bundle, kernel=kernel)
    assert read_bundle(bundle).settings.kernels == (kernel,)


def test_file_with_the_name_of_a_package_is_no_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("source:6.12", "source:6.12+kasan"):
        (tmp_path / name).touch()
        assert isinstance(parse_kernel(name), KernelTree)


@pytest.mark.parametrize("kind", ["dir", "patch", "tree"])
def test_bundle_names_no_implementation_outside_it(bundle: Path, tmp_path: Path, kind: str) -> None:
    change(bundle, tsm=f"{kind}:{tmp_path}")
    with pytest.raises(UsageError, match="not part of it"):
        read_bundle(bundle)
    assert read_bundle(bundle, tsm="mainline").settings.tsms == ("mainline",)


@pytest.mark.parametrize("name", ["bundle.json", "core", "core/tsm.c", "core/include"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_in_a_bundle_are_refused(
    bundle: Path, tmp_path: Path, name: str, kind: str
) -> None:
    path, outside = bundle / name, tmp_path / "outside"
    if path.exists():
        path.rename(outside)
    else:
        outside.mkdir()
    if kind == "link":
        path.symlink_to(outside)
    elif name != "core":
        os.mkfifo(path)
    else:
        pytest.skip("without a directory a bundle has no sources")
    with pytest.raises(UsageError, match=r"is not a bundle: .*(link|no regular file|symbolic)"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    "text",
    ["[" * 200_000, '{"seed": ' + "9" * 100_000 + "}", " " * (2 << 20), '{"schema": 2}', "[]"],
    ids=["deep", "number", "large", "empty", "list"],
)
def test_hostile_json_is_a_usage_error(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text)
    with pytest.raises(UsageError, match="is not a bundle"):
        read_bundle(bundle)


def test_sources_of_a_bundle_are_limited(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (bundle / "core" / "large.c").open("wb") as file:
        file.truncate(33 << 20)
    with pytest.raises(UsageError, match="more than 2000 files or 33554432 bytes"):
        read_bundle(bundle)
    (bundle / "core" / "large.c").unlink()
    monkeypatch.setattr("harness.bundle._MAX_SOURCES", 3)
    for number in range(3):
        (bundle / "core" / f"{number}.c").touch()
    with pytest.raises(UsageError, match="more than 3 files"):
        read_bundle(bundle)


@pytest.mark.parametrize("kind", ["link", "pipe", "large", "deep"])
def test_hostile_program_is_a_usage_error(bundle: Path, tmp_path: Path, kind: str) -> None:
    program = bundle / "program.json"
    if kind == "link":
        (tmp_path / "other").write_text("{}")
        program.symlink_to(tmp_path / "other")
    elif kind == "pipe":
        os.mkfifo(program)
    else:
        program.write_text(" " * (17 << 20) if kind == "large" else "[" * 100_000)
    with pytest.raises(UsageError, match="is not a program of an exploration"):
        read_program(program)
