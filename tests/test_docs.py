# SPDX-License-Identifier: MIT
"""The commands that the documentation shows, run; their output has the lines that it shows.

A ``console`` block has commands after ``$``, each followed by lines of its output; ``...`` stands
for further lines. ``# status N`` after a command is its exit status, if that is not 0. The commands
of a page share one shell session; each block starts in the directory of the checkout.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.claims.catalogue import catalogue
from harness.kernels.kernel_source import kernel_source
from harness.session import Session
from harness.settings import DEFAULT_KERNEL
from tests.postings import edited, write_patch
from tests.test_revisions import repository, tsm_repository

__all__ = ["repository", "tsm_repository"]  # fixtures

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/tutorial.md", "docs/how-to.md", "docs/extending.md")
# Commands that build a kernel run on a packaged kernel instead; other tests build kernels.
REPLACEMENTS = (
    (re.compile(r"(--kernel(?:-build|-config)?) ~/\S+"), ""),
    (re.compile(r"--kernel tree:~/linux\S*"), "--kernel debian:6.12"),
)


@dataclass
class Step:
    """A command of a page; ``first`` is true for the first command of a block."""

    command: str
    status: int = 0
    first: bool = False
    output: list[str] = field(default_factory=list)


def steps_of(page: str) -> list[Step]:
    """Return the commands of a page, in order."""
    steps: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                command, _, status = line[2:].partition("    # status ")
                first = line == block.splitlines()[0]
                steps.append(Step(command.strip(), int(status or 0), first))
            else:
                steps[-1].output.append(line)
    return steps


def run_command(step: Step, where: Path, environment: dict[str, str]) -> str:
    """Run a step with the directory and variables of the previous step; return its output."""
    command = step.command
    for pattern, replacement in REPLACEMENTS:
        command = pattern.sub(replacement, command)
    script = f"[ -e {where}/.session ] && . {where}/.session\n"
    script += f"cd {where}\n" if step.first else ""
    script += f"{command}\nstatus=$?\n"
    script += f"{{ export -p; echo cd $PWD; }} > {where}/.session\nexit $status\n"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == step.status, f"$ {step.command}\n{done.stdout}"
    return done.stdout


def normalized(line: str) -> str:
    """Replace numbers and hashes of a line, which differ from run to run; fold blanks."""
    return re.sub(r"[0-9a-f]{40}|\d+", "N", " ".join(line.split()))


@pytest.fixture
def session(tmp_path: Path, session: Session) -> dict[str, str]:
    """Copy the files of a checkout that the pages use; return the environment of the shell."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "matrix.toml").write_text(_matrix())
    _write_patches(session, tmp_path)
    return os.environ | {
        "HOME": str(tmp_path),
        "TSM_HARNESS_CACHE": str(session.cache.root),
        "TSM_HARNESS_HISTORY": str(tmp_path / "history.db"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "80",
        "GIT_PAGER": "cat",
    }


def _matrix() -> str:
    """Return the matrix file that the how-to shows."""
    page = (ROOT / "docs/how-to.md").read_text()
    [step] = [step for step in steps_of(page) if step.command == "cat matrix.toml"]
    return "".join(f"{line}\n" for line in step.output)


@pytest.mark.parametrize("name", PAGES)
def test_commands_print_what_the_page_shows(
    name: str, session: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    steps = steps_of((ROOT / name).read_text())
    assert steps
    if any("~/tsm" in step.command for step in steps):
        _make_repository(request, tmp_path)
    for step in steps:
        output = run_command(step, tmp_path, session)
        lines = {normalized(line) for line in output.splitlines()}
        missing = [line for line in step.output if line != "..." and normalized(line) not in lines]
        assert not missing, f"$ {step.command}\nlacks {missing} in its output\n{output}"


def _make_repository(request: pytest.FixtureRequest, home: Path) -> None:
    """Make the repository of the how-to, with a defect in a commit after v1, and its series."""
    tree, commits = request.getfixturevalue("tsm_repository")
    git = ["git", "-C", str(tree.path)]
    subprocess.run([*git, "tag", "v1", commits[0]], check=True)
    patches = ["format-patch", "-q", "-o", str(home / "patches"), "v1"]
    subprocess.run([*git, *patches], check=True)
    (home / "tsm").symlink_to(tree.path)


def _write_patches(session: Session, home: Path) -> None:
    """Write the sources of the kernel, and the patches of the how-to, which are made of them."""
    kernel = session.kernel(DEFAULT_KERNEL)
    sources = dict(kernel_source(kernel, session.cache, session.progress).files)
    for name, text in sources.items():
        (home / "linux" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "linux" / name).write_text(text)
    copy = r"(\tmemcpy\(report->desc\.inblob, buf, count\);)"
    cleared = r"\tmemset(report->desc.inblob, 0, sizeof(report->desc.inblob));\n\1"
    fixed = edited(sources, "drivers/virt/coco/tsm.c", copy, cleared)
    write_patch(home / "fix.patch", sources, fixed)
    write_patch(home / "second.patch", fixed, sources)


def test_reference_is_the_output_of_the_command() -> None:
    command = [sys.executable, "-m", "harness", "reference"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == (ROOT / "docs" / "reference.md").read_text(), (
        "run: tsm-harness reference > docs/reference.md"
    )


def test_reference_lists_every_claim() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for claim in catalogue().claims.values():
        source = f"[{claim.raised_by}]({claim.link})" if claim.link else claim.raised_by
        assert f"| {claim.id} | {source} | {claim.demand}" in text


@pytest.mark.parametrize(
    "name",
    [
        *PAGES,
        "docs/architecture.md",
        "docs/glossary.md",
        "docs/reference.md",
        "CONTRIBUTING.md",
        "CHANGES.md",
    ],
)
def test_targets_of_links_exist(name: str) -> None:
    page = ROOT / name
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    local = [link for link in links if not link.startswith("http")]
    assert not [link for link in local if not (page.parent / link).exists()]
