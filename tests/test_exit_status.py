# SPDX-License-Identifier: MIT
"""Exit statuses of commands, with scenarios whose result the test chooses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.session import Session
from harness.settings import DEFAULT_KERNEL

Command = Callable[..., subprocess.CompletedProcess[str]]

_CATALOGUE = """
from pathlib import Path
from harness.claims import Catalogue, Claim
CATALOGUE = Catalogue({"X1": Claim("X1", "a test", "Demand.")}, Path(__file__).parent / "own")
"""

_SCENARIOS = """
import os
import pytest
from harness.claims import claim
from harness.errors import HarnessError
from harness.oracle.expect import demand

@claim("X1")
def test_first(report):
    _end_with(os.environ["RESULTS"].split()[0])

@claim("X1")
def test_second(report):
    _end_with(os.environ["RESULTS"].split()[-1])

@claim("X1", only="configfs")
def test_out_of_scope(report):
    assert False, "this scenario must not run on the class"

def _end_with(result):
    if result == "skip":
        pytest.skip("the scenario skips itself")
    if result == "error":
        raise HarnessError("the harness failed")
    demand(result == "pass", "the demand does not hold")
"""

_MAIN = """
import sys
from importlib.metadata import EntryPoint, EntryPoints
from harness.claims import catalogue
sys.path.insert(0, ".")
point = EntryPoint("x", "own_claims:CATALOGUE", "tsm_harness.catalogue")
catalogue.entry_points = lambda group: EntryPoints([point])
from harness.cli import main
main()
"""


@pytest.fixture
def command(tmp_path: Path, session: Session) -> Command:
    """Runs a command; its two scenarios have the ``results`` pass, fail, skip or error."""
    session.template(DEFAULT_KERNEL, "class-fixed")
    (tmp_path / "own").mkdir()
    (tmp_path / "own_claims.py").write_text(_CATALOGUE, encoding="utf-8")
    (tmp_path / "own" / "test_own.py").write_text(_SCENARIOS, encoding="utf-8")

    def run(results: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", _MAIN, *arguments],
            capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
            env=os.environ | {"TSM_HARNESS_CACHE": str(session.cache.root), "RESULTS": results},
        )  # fmt: skip

    return run


_RESULTS = [
    ("pass pass", 0, ""),
    ("pass skip", 1, ""),
    ("pass fail", 1, ""),
    ("fail skip", 1, ""),
    ("pass error", 125, ""),
    ("skip skip", 125, "no verdict: no cell was decided (3 SKIP); 2 of 3: the scenario skips"),
    ("error skip", 125, "no verdict: no cell was decided (1 ERROR, 2 SKIP); 1 of 3: "),
]


@pytest.mark.parametrize(("results", "status", "reason"), _RESULTS)
@pytest.mark.parametrize("name", ["run", "mutants", "reproduce"])
def test_skip_that_was_not_predicted_is_not_a_success(
    command: Command, name: str, results: str, status: int, reason: str
) -> None:
    times = ["--times=1"] if name == "reproduce" else []
    done = command(results, name, "X1", "--tsm=class-fixed", "-n1", *times)
    assert done.returncode == status, done.stdout + done.stderr
    assert reason in done.stderr
    assert ("no verdict:" in done.stderr) == bool(reason)


def test_predicted_skip_is_as_expected(command: Command) -> None:
    done = command("pass", "run", "X1", "--tsm=class-fixed", "-n1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 cells: 2 PASS, 1 SKIP; all as expected" in done.stdout
    assert "must not run on the class" not in done.stdout


@pytest.mark.parametrize(
    ("results", "status", "reason"),
    [
        ("fail pass", 0, ""),
        ("pass pass", 1, ""),
        ("skip pass", 125, "no verdict: no cell was decided (1 SKIP); 1 of 1: the scenario skips"),
    ],
)
def test_replay_of_a_scenario_that_skips_has_no_verdict(
    command: Command, tmp_path: Path, results: str, status: int, reason: str
) -> None:
    command("fail pass", "run", "X1", "--tsm=class-fixed", "-n1", "--artifacts=kept")
    [bundle] = tmp_path.glob("kept/*/bundle.json")
    done = command(results, "replay", str(bundle))
    assert done.returncode == status, done.stdout + done.stderr
    assert reason in done.stderr
    if reason:
        assert "expected PASS, got SKIP" in done.stdout


@pytest.mark.parametrize(("results", "status"), [("fail fail", 0), ("fail pass", 1)])
def test_replay_takes_several_bundles(
    command: Command, tmp_path: Path, results: str, status: int
) -> None:
    command("fail fail", "run", "X1", "--tsm=class-fixed", "-n1", "--artifacts=kept")
    bundles = sorted(map(str, tmp_path.glob("kept/X1*")))
    assert len(bundles) == 2
    done = command(results, "replay", *bundles)
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stdout.count("the same outcome 1 of 1 times: FAIL") == 2 - status
    assert all(f"{each}:" in done.stdout for each in bundles)


def test_replay_checks_every_bundle_before_it_runs_one(command: Command, tmp_path: Path) -> None:
    command("fail pass", "run", "X1", "--tsm=class-fixed", "-n1", "--artifacts=kept")
    [bundle] = tmp_path.glob("kept/X1*")
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "bundle.json").write_text("{}")
    done = command("fail pass", "replay", str(bundle), str(damaged))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "the same outcome" not in done.stdout


def test_host_without_any_kernel_has_one_error_before_any_cell(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("TSM_HARNESS_MIRROR", "TSM_HARNESS_SECURITY_MIRROR"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    empty = f"--cache={tmp_path / 'cache'}"
    done = command("pass pass", "run", "X1", "--tsm=class-fixed", "-n1", empty)
    assert done.returncode == 125, done.stdout + done.stderr
    assert done.stderr.count("error (host)") == 1
    assert "127.0.0.1" in done.stderr
    assert "check the network" in done.stderr
    assert "X1" not in done.stdout
