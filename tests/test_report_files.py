# SPDX-License-Identifier: MIT
"""Files of run reports: refused before any cell when they cannot be written."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from harness.cli import options
from harness.cli.reports import ReportFiles, report_files
from harness.report.output import STANDARD_OUTPUT, write_atomically
from harness.verdict import RunResult
from tests.test_report import MIXED


def invoke(*arguments: str) -> Result:
    """Run a command that writes the reports of a run; nothing else is printed."""

    @click.command()
    @report_files
    def command(reports: ReportFiles) -> None:
        if not reports.use_standard_output:
            click.echo("the table")
        reports.write(RunResult(MIXED))

    return CliRunner().invoke(command, arguments)


@pytest.mark.parametrize("file", ["/proc/x", "/proc/x/y", "/dev/null/x", "/sys/x"])
def test_a_file_that_cannot_be_written_is_refused_at_once(file: str) -> None:
    done = invoke("--json", file)
    assert done.exit_code == 2
    assert "cannot be written" in done.output and "the table" not in done.output


def test_a_file_in_a_new_directory_is_accepted_and_the_check_leaves_nothing(tmp_path: Path) -> None:
    @click.command()
    @click.option("--file", type=options.OUTPUT_FILE)
    def command(file: Path) -> None:
        click.echo(list(tmp_path.iterdir()))

    done = CliRunner().invoke(command, ["--file", str(tmp_path / "new" / "out.json")])
    assert (done.exit_code, done.output) == (0, "[]\n")
    assert invoke("--json", str(tmp_path / "new" / "out.json")).exit_code == 0
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "out.json"]


def test_a_dash_is_the_standard_output_and_nothing_else_is_there() -> None:
    done = invoke("--reply", "-")
    assert done.exit_code == 0
    assert done.stdout.startswith("Judged by tsm-harness") and "the table" not in done.stdout


def test_a_command_with_other_output_refuses_a_dash() -> None:
    @click.command()
    @click.option("--file", type=options.OUTPUT_FILE)
    def command(**_: Any) -> None:  # noqa: ANN401 - not called
        raise AssertionError

    done = CliRunner().invoke(command, ["--file", "-"])
    assert done.exit_code == 2 and "name a file" in done.output


@pytest.mark.parametrize("file", ["-", "out"])
def test_two_reports_in_one_file_are_refused(file: str, tmp_path: Path) -> None:
    path = file if file == "-" else str(tmp_path / file)
    done = invoke("--reply", path, "--ktap", path)
    assert done.exit_code != 0
    assert "write to the same file" in str(done.exception)
    assert invoke("--reply", path, "--ktap", str(tmp_path / "other")).exit_code == 0


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_standard_output_is_not_replaced_by_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    print("before", file=sys.stdout)
    write_atomically(STANDARD_OUTPUT, b"after\n")
    assert capfdbinary.readouterr().out == b"before\nafter\n"
    assert not list(tmp_path.iterdir())
