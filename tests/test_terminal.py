# SPDX-License-Identifier: MIT
"""The commands on a terminal: standard error shows live progress, standard output the result.

Each test runs a command under a pseudo-terminal. A pipe would not do: progress is live on a
terminal only, and must leave the streams as it found them.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from harness.session import Session
from harness.settings import DEFAULT_KERNEL

Start = Callable[..., "pexpect.spawn[str]"]

_SECONDS = 180
_INTERRUPT = "\x03"
_ESCAPE = "\x1b"


@pytest.fixture
def start(session: Session, tmp_path: Path) -> Iterator[Start]:
    """Starts ``tsm-harness`` with the given words, columns and environment on a terminal."""
    for tsm in ("class-posted", "class-fixed", "mainline", "defect:double-free"):
        session.template(DEFAULT_KERNEL, tsm)
    children: list[pexpect.spawn[str]] = []

    def run(*words: str, columns: int = 80, shell: str = "", **env: str) -> pexpect.spawn[str]:
        command, arguments = sys.executable, ["-m", "harness", *words]
        if shell:
            command, arguments = "/bin/sh", ["-c", f'"$0" "$@" {shell}', command, *arguments]
        child = pexpect.spawn(
            command,
            arguments,
            timeout=_SECONDS,
            cwd=str(tmp_path),
            dimensions=(40, columns),
            env=os.environ
            | {"TERM": "xterm-256color", "TSM_HARNESS_CACHE": str(session.cache.root)}
            | env,
            encoding="utf-8",
        )
        children.append(child)
        return child

    yield run
    for child in children:
        child.close(force=True)


def _end(child: pexpect.spawn[str]) -> tuple[str, int | None]:
    """What is on the terminal at the end, without its control sequences, and the exit status."""
    child.expect(pexpect.EOF)
    child.wait()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", child.before or "")
    return text.replace("\r\n", "\n"), child.exitstatus


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["run", "R1"], r"\| R1 +\| FAIL +\| PASS +\| PASS +\|"),
        (["reproduce", "R1", "--times", "2", "-n", "1"], r"2 of 2 reproduced it"),
        (
            ["mutants", "R1", "--tsm", "class-fixed", "--tsm", "defect:double-free"],
            r"\|R1 +\|\. ?\|F ?\|",
        ),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_results_are_shown(start: Start, words: list[str], shown: str, workers: str) -> None:
    text, status = _end(start(*words, "-n", workers))
    assert re.search(shown, text), text
    assert status == 0


def test_a_fail_is_explained_and_can_be_replayed(start: Start, tmp_path: Path) -> None:
    text, status = _end(start("run", "R1", "--tsm", "class-posted"))
    assert status == 0
    [bundle] = tmp_path.glob("tsm-harness-results/*/bundle.json")
    text, status = _end(start("replay", str(bundle)))
    assert "the same outcome 1 of 1 times: FAIL" in text
    assert "Object already free in ensure_report" in text
    assert status == 0


def test_output_in_a_file_has_the_table_too(start: Start, tmp_path: Path) -> None:
    text, status = _end(start("run", "R1", shell="> out.txt"))
    assert status == 0
    assert "| R1" in (tmp_path / "out.txt").read_text(encoding="utf-8")
    assert "| R1" not in text


def test_interrupt_shows_what_was_decided(start: Start) -> None:
    child = start("run", "--tsm", "class-fixed", "-n", "1")
    child.expect(r"(PASS|SKIP)")  # of the live line: at least one cell is decided
    child.send(_INTERRUPT)
    text, status = _end(child)
    assert "interrupted" in text
    assert "MISS" in text
    assert "| S1" in text
    assert "Traceback" not in text
    assert status == 125


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_plain_terminals(start: Start, env: dict[str, str]) -> None:
    child = start("run", "R1", "--tsm", "class-posted", **env)
    child.expect(pexpect.EOF)
    child.wait()
    raw = child.before or ""
    assert re.search(r"\| R1 +\| FAIL", raw)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", raw), "colours where none are wanted"
    if env.get("TERM") == "dumb":
        assert _ESCAPE not in raw
    assert child.exitstatus == 0


def test_a_narrow_terminal_keeps_the_table(start: Start) -> None:
    text, status = _end(start("run", "R1", columns=60))
    assert re.search(r"\| R1 +\| FAIL +\| PASS +\| PASS +\|", text)
    assert max(len(line) for line in text.splitlines() if line.startswith(("|", "+"))) <= 60
    assert status == 0
