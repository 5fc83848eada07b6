# SPDX-License-Identifier: MIT
"""The wheel works in an empty environment, away from the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from harness.session import Session
from harness.settings import DEFAULT_KERNEL

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "attestation-client"
_LEFT_OUT = shutil.ignore_patterns(
    ".*", "*.egg-info", "__pycache__", "build", "tsm-harness-results"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of programs of an environment with the wheel and its dependencies alone."""
    where = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, where / "source", ignore=_LEFT_OUT)
    pip = [sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", where, where / "source"], check=True)
    [wheel] = where.glob("*.whl")
    shutil.rmtree(where / "source")
    venv.create(where / "env", with_pip=False)
    python = where / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", wheel], check=True)
    return python.parent


def test_main_job(installed: Path, tmp_path: Path, session: Session) -> None:
    done = _run(tmp_path, installed / "tsm-harness", "run", "R1", "--cache", session.cache.root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 cells: 1 FAIL, 2 PASS, 3 SKIP; all as expected" in done.stdout


def test_the_schema_of_the_run_report_is_installed(installed: Path, tmp_path: Path) -> None:
    script = (
        "from importlib.resources import files; import sys; "
        "sys.stdout.buffer.write((files('harness.report') / 'run.schema.json').read_bytes())"
    )
    done = _run(tmp_path, installed / "python", "-c", script)
    assert done.stdout == (ROOT / "harness/report/run.schema.json").read_text()


def test_example_project(installed: Path, tmp_path: Path, session: Session) -> None:
    project = shutil.copytree(EXAMPLE, tmp_path / "client", ignore=_LEFT_OUT)
    options = ("-q", f"--tsm-cache={session.cache.root}", f"--tsm-kernel={DEFAULT_KERNEL}")
    done = _run(project, installed / "pytest", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout
    client = project / "attest"
    client.write_text(client.read_text().replace('"$work/nonce" >', "/dev/null >"))
    done = _run(project, installed / "pytest", *options)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "guest's system calls, provider" in done.stdout


def _run(where: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=where, capture_output=True, text=True, timeout=500, check=False
    )
