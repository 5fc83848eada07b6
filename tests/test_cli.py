# SPDX-License-Identifier: MIT
"""The command line: what the commands print, write and return."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from harness.session import Session
from harness.settings import DEFAULT_KERNEL, DEFAULT_TSMS

Invoke = Callable[..., subprocess.CompletedProcess[str]]

_ATTEST = """
cd /sys/kernel/config/tsm/report && mkdir entry && cp /tmp/nonce entry/inblob &&
cat entry/outblob > /tmp/outblob && cat entry/provider entry/generation
"""


@pytest.fixture
def invoke(tmp_path: Path, session: Session) -> Invoke:
    """Runs a command in an empty directory, with the cache of these tests."""
    for tsm in DEFAULT_TSMS:
        session.template(DEFAULT_KERNEL, tsm)

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *arguments],
            input=stdin, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
            env=os.environ | {"TSM_HARNESS_CACHE": str(session.cache.root)},
        )  # fmt: skip

    return run


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "X9"], "unknown claim: X9"),
        (["run", "--kernel", "/nowhere"], "no such kernel: /nowhere"),
        (["run", "--kernel", "/etc/passwd"], "not an x86 kernel image"),
        (["run", "--tsm", "defect:nothing"], "no such defect: nothing"),
        (["run", "--tsm", "as-posted"], "use class-posted"),
        (["run", "--tsm", "revised"], "use class-fixed"),
        (["run", "--tsm", "corrected"], "use configfs-fixed"),
        (["sight"], "use mutants"),
        (["run", "--provider", "nobody"], "there is no provider 'nobody'"),
        (["run", "--provider", "tdx:version=3"], "option version is 4, 5; not 3"),
        (["run", "--provider", "tdx:colour=red"], "there is no option 'colour'"),
        (["exec", "--fault", "nothing", "--", "true"], "there is no fault 'nothing'"),
        (["exec", "--fault", "snp-throttled:x=1", "--", "true"], "has no parameter 'x'"),
        (["exec", "--hardware-time", "-1", "--", "true"], "lasts 0 to 1000 seconds"),
        (["run", "--qemu", "/bin/true"], "is not QEMU"),
        (["run", "--smp", "0"], "0 is not in the range"),
        (["exec", "--push", "nothing:/x", "--", "true"], "--push nothing: no such file"),
        (["exec", "--pull", "/x", "--", "true"], "write REMOTE:LOCAL"),
        (["exec", "--env", "9=x", "--", "true"], "not the name of an environment variable"),
        (["exec", "--env", "TSM_NONE", "--", "true"], "this process has no such variable"),
        (["exec"], "Missing argument"),
        (["reproduce"], "Missing argument"),
        (["nonsense"], "No such command"),
    ],
)
def test_wrong_usage_is_2_with_a_message(
    invoke: Invoke, arguments: list[str], message: str
) -> None:
    done = invoke(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_run_writes_json_and_junit_and_keeps_evidence(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("run", "R1", "K3", "--json", "out.json", "--junit", "out.xml", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert "12 cells: 3 FAIL, 6 PASS, 3 SKIP; all as expected" in done.stdout
    report = json.loads((tmp_path / "out.json").read_bytes())
    schema = files("harness.report").joinpath("run.schema.json").read_text(encoding="utf-8")
    jsonschema.validate(report, json.loads(schema))
    assert report["claims"].keys() == {"R1", "K3"}
    assert report["summary"] == {"FAIL": 3, "ERROR": 0, "MISS": 0, "PASS": 6, "SKIP": 3}
    suites = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert len(suites.findall(".//testcase")) == 12
    scenario = ("test_failed_regeneration_frees_the_old_report_once", "class-posted")
    [cell] = [c for c in report["cells"] if (c["scenario"], c["tsm"]) == scenario]
    assert (cell["status"], cell["expected"]) == ("FAIL", "FAIL")
    assert "Object already free" in cell["detail"]
    kept = {path.name for path in (tmp_path / cell["artifacts"]).iterdir()}
    assert kept >= {"kernel.log", "transcript.jsonl", "qemu.txt", "rerun.txt", "versions.json"}


def test_the_rerun_command_repeats_the_cell(invoke: Invoke, tmp_path: Path) -> None:
    invoke("run", "T3", "--tsm", "class-posted", "--seed", "7", "--json", "first.json")
    (first,) = json.loads((tmp_path / "first.json").read_bytes())["cells"]
    program, *arguments = first["rerun"].split()
    assert program == "tsm-harness"
    assert invoke(*arguments, "--json", "again.json").returncode == 0
    (again,) = json.loads((tmp_path / "again.json").read_bytes())["cells"]
    same = ("claim", "scenario", "kernel", "tsm", "provider", "seed", "status")
    assert [first[key] for key in same] == [again[key] for key in same]


def test_an_unexpected_verdict_is_1(session: Session, tmp_path: Path) -> None:
    session.template(DEFAULT_KERNEL, "mainline")
    program = """
import dataclasses
from scenarios.claims import CLAIMS
from harness.cli import main
CLAIMS["T3"] = dataclasses.replace(CLAIMS["T3"], fails_on_mainline=False)
main()
"""
    command = [sys.executable, "-c", program, "run", "T3", "--tsm", "mainline", "-n", "1"]
    command += ["--cache", str(session.cache.root)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "FAIL !" in done.stdout
    assert "expected PASS, got FAIL" in done.stdout


def test_mutants_shows_that_only_its_claim_detects_a_defect(invoke: Invoke) -> None:
    names = ("class-fixed", "defect:double-free", "defect:same-value")
    implementations = [f"--tsm={name}" for name in names]
    done = invoke("mutants", "R1", "T1", "K3", *implementations)
    assert done.returncode == 0, done.stdout
    assert "|R1   |.|F|.|" in done.stdout
    assert "|T1   |.|.|F|" in done.stdout
    assert "|K3   |.|.|.|" in done.stdout


def test_reproduce_counts_hits(invoke: Invoke) -> None:
    done = invoke("reproduce", "R1", "--times", "6")
    assert done.returncode == 0, done.stderr
    assert "6 of 6 reproduced it (100.0%)" in done.stdout
    never = invoke("reproduce", "R1", "--times", "3", "--tsm", "class-fixed")
    assert never.returncode == 0
    assert "0 of 3 reproduced it" in never.stdout


def test_exec_passes_streams_status_and_files(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "nonce").write_bytes(bytes(range(64)))
    copies = ["--push", "nonce:/tmp/nonce", "--pull", "/tmp/outblob:blob"]
    done = invoke("exec", *copies, "--", _ATTEST)
    assert (done.returncode, done.stdout.split()) == (0, ["sev_guest", "1"])
    assert bytes(range(64)) in (tmp_path / "blob").read_bytes()
    echo = invoke("exec", "--", "sh", "-c", "cat; echo wrong >&2; exit 7", stdin="in and out\n")
    assert (echo.returncode, echo.stdout, echo.stderr) == (7, "in and out\n", "wrong\n")
    assert invoke("exec", "--", "sh", "-c", "kill -9 $$").returncode == 125


def test_exec_says_which_faults_had_no_effect(invoke: Invoke) -> None:
    script = (
        "cd /sys/kernel/config/tsm/report && mkdir a && echo short > a/inblob; cat a/outblob || :"
    )
    faults = ("--fault", "truncated:n=3", "--fault", "empty")
    done = invoke("exec", *faults, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    assert "the fault truncated=3 had no effect on request" in done.stderr
    assert "the fault empty=True was not used: no request came" in done.stderr
    done = invoke("exec", "--fault", "fail:errno=5", "--", "sh", "-c", script)
    assert "the fault" not in done.stderr


def test_images_list_and_prune(invoke: Invoke, tmp_path: Path) -> None:
    listed = invoke("images", "list")
    assert listed.returncode == 0
    assert {"kernel", "modules", "template"} <= set(listed.stdout.split())
    pruned = invoke("images", "prune", "--days", "0", "--cache", str(tmp_path / "empty"))
    assert (pruned.returncode, pruned.stdout) == (0, "0.0 MiB freed\n")
    assert invoke("images", "build", "--tsm", "class-fixed").stdout == "ready\n"


def test_doctor_runs_every_check(invoke: Invoke) -> None:
    done = invoke("doctor", "--rounds", "5")
    assert done.returncode == 0, done.stdout
    names = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("ok")]
    checks = ("emulator", "toolchain", "sandbox", "disk", "kernel", "accelerator", "clone",
              "privileges", "soundness")  # fmt: skip
    assert names == [f"{check}:" for check in checks]


def test_bench_measures_each_number_beside_its_baseline(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("bench", "--rounds", "1", "--json", "bench.json")
    assert done.returncode == 0, done.stderr
    numbers = json.loads((tmp_path / "bench.json").read_bytes())
    keys = ("cold_boot_s", "clone_s", "pool_clone_s", "op_us", "echo_us", "report_s", "race_s",
            "clone_private_mib")  # fmt: skip
    assert all(numbers[key] > 0 for key in keys)
    assert set(numbers["baselines"]) >= {"clone_s", "pool_clone_s", "op_us", "race_s"}
