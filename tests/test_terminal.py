# SPDX-License-Identifier: MIT
"""Every command that prints, on a terminal: live progress on standard error, results on output.

The commands run under a pseudo-terminal. A pipe would not do: progress is live on a terminal only,
and must leave the streams as it found them.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pexpect
import psutil
import pytest

from harness.git import git
from harness.session import Session
from harness.settings import DEFAULT_KERNEL

HARNESS = (sys.executable, "-m", "harness")
Start = Callable[..., "pexpect.spawn[str]"]

_SECONDS = 180
_INTERRUPT = "\x03"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*[34][0-7][;m]")
_IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b")

# Arguments, and a pattern for what the command must show. They run in the directory of `work`.
RESULTS = {
    "run": ("run R1 --tsm class-posted --tsm class-fixed -n2", r"\| R1 +\| FAIL +\| PASS +\|"),
    "run-one-worker": ("run R1 --tsm class-posted -n1", r"Object already free"),
    "run-matrix": ("run --matrix matrix.toml", r"\| R1 +\| PASS +\|"),
    "claims": ("claims", r"\| R1 +\| If regenerating a report"),
    "claims-one": ("claims r1", r"from: Roy Hopkins, https://lore\.kernel\.org/r/\S+"),
    "reproduce": ("reproduce R1 --times 2 -n1", r"2 of 2 reproduced it"),
    "mutants": (
        "mutants R1 --tsm class-fixed --tsm defect:double-free -n1",
        r"\|R1 +\|\. ?\|F ?\|(.*\n)*b  defect:double-free",
    ),
    "replay": ("replay bundle", r"the same outcome 1 of 1 times: FAIL"),
    "explore": (
        "explore --budget 1 --tsm class-fixed --part behaviour",
        r"nothing disagrees with the model in 1 program",
    ),
    "explore-finding": (
        "explore --budget 4 --tsm defect:version-uncounted --part behaviour --findings 1",
        r"\| operation +\| result +\|(.*\n)*1 sequence disagrees with the model \(M1: 1\)",
    ),
    "bisect": ("bisect T3 --tsm dir:tsm --repository repository -n1", r"good, 1 run passed"),
    "series": (
        "series patches T3 --tsm dir:tsm --repository repository --base HEAD^ -n1",
        r"\| change +\| PASS +\|",
    ),
    "exec": ("exec -- uname -r", r"\d+\.\d+\.\d+\S*"),
    "doctor": ("doctor --rounds 1", r"ok   soundness: "),
    "bench": ("bench --rounds 1", r"clone_s +\S+ s (.*\n)* *find_defect_s +\S+ s "),
    "cluster-credentials": ("cluster credentials key", r"--cluster-credentials key"),
    "images-build": ("images build --tsm class-fixed", r"ready"),
    "images-list": ("images list", r"kernel +[0-9a-f]{16} +\d"),
    "images-prune": ("images prune --days 1000", r"MiB freed"),
    "matrix": ("matrix matrix.toml", r"tsm-harness run R1 --kernel=debian:6\.12"),
    "history": ("history R1", r"R1 test_\w+ on class-posted"),
    "reference": ("reference", r"## Claims"),
    "evidence": ("evidence tdx --out evidence --force --describe", r"TDX quote  version 4"),
    "evidence-faults": ("evidence tdx --faults", r"tdx-in-flight"),
    "help": ("--help", r"run +Decide claims on kernels and implementations\."),
    "usage": ("run X9", r"error \(usage\): unknown claim: X9\s+did you mean P9"),
}
MUTANTS = ("defect:double-free", "defect:version-uncounted")
STATUSES = {"explore-finding": 1, "usage": 2}
# Prints the help of every command and subcommand. One process imports the commands once.
HELP = """
import click
from harness.cli.app import app

def show(command, *names):
    print("====", *names)
    command(["--help"], prog_name=" ".join(names), standalone_mode=False)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            show(command.get_command(context, name), *names, name)

show(app, "tsm-harness")
"""

# Arguments, and a pattern for what is shown when the command is in the middle of its work.
INTERRUPTED = {
    "run": ("run --tsm class-fixed -n1", "deciding: .*(PASS|SKIP)"),
    "run-early": ("run --tsm class-fixed -n2", "deciding"),
    "reproduce": ("reproduce R1 --times 100 -n1", "deciding: R1 .*FAIL"),
    "mutants": ("mutants R1 --tsm class-fixed --times 100 -n1", "deciding: .*PASS"),
    "replay": ("replay bundle --times 100", "deciding: .*FAIL"),
    "explore": ("explore --tsm class-fixed", r"exploring behaviour: \d+ runs"),
    "bisect": ("bisect T3 --tsm dir:tsm --times 100 --repository repository -n1", "deciding: "),
    "series": (
        "series patches T3 --tsm dir:tsm --times 100 --repository repository --base HEAD^ -n1",
        "deciding: ",
    ),
    "exec": ("exec -- 'echo started; sleep 1000'", "started"),
    "doctor": ("doctor --rounds 100000", "clone: "),
    "bench": ("bench", "measuring boots"),
}
WITH_VERDICTS = {"run", "run-early", "reproduce", "mutants", "replay"}


@pytest.fixture(scope="module")
def work(session: Session, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a matrix file, a repository, patches, and the bundle of a FAIL."""
    for tsm in ("class-posted", "class-fixed", "mainline", *MUTANTS):
        session.template(DEFAULT_KERNEL, tsm)
    work = tmp_path_factory.mktemp("terminal")
    (work / "matrix.toml").write_text("claims = ['R1']\ntsm = ['class-fixed']\n")
    repository = work / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    shutil.copytree(Path(__file__).parent / "data" / "implementation", repository / "tsm")
    for subject in ("base", "change"):
        (repository / "file").write_text(subject)
        git(repository, "add", "--all")
        git(repository, *_IDENTITY, "commit", "--quiet", "-m", subject)
    git(repository, "format-patch", "--quiet", "-o", str(work / "patches"), "HEAD^")
    child = _spawn(session, work, [*HARNESS, *shlex.split(RESULTS["run"][0])])
    text, status = _end(child)
    assert status == 0, text
    [bundle] = work.glob("tsm-harness-results/R1*posted*")
    (work / "bundle").symlink_to(bundle)
    return work


@pytest.fixture
def start(session: Session, work: Path) -> Iterator[Start]:
    """Starts ``tsm-harness`` with arguments, a suffix for a shell, and variables."""
    children = []

    def run(
        arguments: str = "", shell: str = "", command: Sequence[str] = HARNESS, **env: str
    ) -> pexpect.spawn[str]:
        child = _spawn(session, work, [*command, *shlex.split(arguments)], shell, **env)
        children.append(child)
        return child

    yield run
    for child in children:
        child.close(force=True)


def _spawn(
    session: Session, work: Path, command: Sequence[str], shell: str = "", **env: str
) -> pexpect.spawn[str]:
    variables = {
        "TERM": "xterm-256color",
        "TSM_HARNESS_CACHE": str(session.cache.root),
        "TSM_HARNESS_HISTORY": str(work / "history.db"),
    }
    line = f"{shlex.join(command)} {shell}" if shell else f"exec {shlex.join(command)}"
    return pexpect.spawn(
        "/bin/sh",
        ["-c", line],
        timeout=_SECONDS,
        cwd=str(work),
        dimensions=(40, 60),
        env={k: v for k, v in os.environ.items() if k != "COLUMNS"} | variables | env,
        encoding="utf-8",
    )


def _end(child: pexpect.spawn[str]) -> tuple[str, int | None]:
    """Return what was shown after the last live display, and the exit status."""
    child.expect(pexpect.EOF)
    child.wait()
    shown = (child.before or "").rpartition("\x1b[?25h")[2]  # "show the cursor"
    return _CONTROL.sub("", shown).replace("\r\n", "\n"), child.exitstatus


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_shown_on_a_narrow_terminal(start: Start, name: str) -> None:
    arguments, pattern = RESULTS[name]
    text, status = _end(start(arguments))
    assert re.search(pattern, text) or re.search(pattern, " ".join(text.split())), text
    assert status == STATUSES.get(name, 0), text
    assert "Traceback" not in text
    assert "…" not in text, "something was cut off"
    tables = [
        line for line in text.splitlines() if line.startswith(("+-", "|")) and name != "reference"
    ]
    assert max(map(len, tables), default=0) <= 60


def test_the_help_of_every_command_fits(start: Start) -> None:
    text, status = _end(start(command=[sys.executable, "-c", HELP]))
    assert status == 0, text
    _, *helps = re.split(r"^==== .*\n", text, flags=re.MULTILINE)
    assert len(helps) > 20
    for shown in helps:
        assert shown.startswith("Usage: tsm-harness")
        # A word without a blank may be wider than the terminal, like a list of choices.
        wide = [line for line in shown.splitlines() if len(line) > 60 and " " in line.strip()]
        assert not [line for line in wide if "|" not in line], wide
        cut = [line for line in shown.splitlines() if re.search(r"[a-z]\.\.\.$", line)]
        assert not cut


@pytest.mark.parametrize(
    "name", ["run-one-worker", "explore", "exec", "doctor", "images-list", "evidence"]
)
def test_a_dumb_terminal_gets_plain_text(start: Start, work: Path, name: str) -> None:
    arguments, pattern = RESULTS[name]
    child = start(arguments, "> output.txt", TERM="dumb")
    child.expect(pexpect.EOF)
    child.wait()
    output = (work / "output.txt").read_text(encoding="utf-8")
    assert child.exitstatus == 0
    assert re.search(pattern, output), output
    assert "\x1b" not in (child.before or "") + output


def test_colours_can_be_switched_off(start: Start) -> None:
    def shown(**env: str) -> str:
        child = start(RESULTS["run-one-worker"][0], **env)
        child.expect(pexpect.EOF)
        return child.before or ""

    assert _COLOUR.search(shown())
    assert not _COLOUR.search(shown(NO_COLOR="1"))


@pytest.mark.parametrize("name", ["run-one-worker", "explore", "exec", "images-list", "history",
                                  "matrix", "reference", "evidence", "evidence-faults",
                                  "help"])  # fmt: skip
def test_a_reader_that_leaves_is_no_error(start: Start, name: str) -> None:
    text, _ = _end(start(RESULTS[name][0], "| true"))
    assert not re.search(r"error|Traceback|Exception", text), text


@pytest.mark.parametrize("name", INTERRUPTED)
def test_an_interrupt_ends_everything(start: Start, name: str) -> None:
    arguments, pattern = INTERRUPTED[name]
    child = start(arguments)
    child.expect(pattern)
    processes = psutil.Process(child.pid).children(recursive=True)
    child.send(_INTERRUPT)
    text, status = _end(child)
    assert status == 125, text
    # The terminal of `exec` is that of the command in the guest.
    ended = "the command ended with status 130" if name == "exec" else "interrupted"
    assert f"tsm-harness: {ended}" in text
    assert "Traceback" not in text
    assert psutil.wait_procs(processes, timeout=30)[1] == [], "processes are left"
    if name == "explore":
        assert re.search(r"behaviour: 0 findings; \d+ programs?, \d+ operations", text)
    if name in WITH_VERDICTS:
        assert "MISS" in text
        assert not re.search(r"\? test_|\?, \?", text), "a cell has no name"


def test_an_interrupt_ends_a_local_cluster(start: Start) -> None:
    child = start("run R1 --tsm class-fixed --times 100 --cluster local -n1")
    child.expect("deciding")
    child.send(_INTERRUPT)
    text, status = _end(child)
    assert status == 125
    assert "tsm-harness: interrupted" in text
    assert "Traceback" not in text
