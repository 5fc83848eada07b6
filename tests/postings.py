# SPDX-License-Identifier: MIT
"""Writes patches for tests: the difference between two sets of files, as git prints it."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ["diff_of", "edited", "write_patch"]

Files = Mapping[str, str]


def diff_of(before: Files, after: Files) -> str:
    """Return the unified diff between two trees; renames are detected."""
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name)
        _git(repository, "init", "--quiet", "--template=")
        old = _tree_of(repository, before)
        _tree_of(repository, after)
        return _git(repository, "diff", "--cached", "-M40%", old)


def _tree_of(repository: Path, files: Files) -> str:
    _git(repository, "rm", "-r", "--force", "--quiet", "--ignore-unmatch", ".")
    for path, text in files.items():
        file = repository / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    _git(repository, "add", "--all")
    return _git(repository, "write-tree").strip()


def _git(repository: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(repository), "GIT_CONFIG_NOSYSTEM": "1",
    }  # fmt: skip
    command = ["git", "-C", str(repository), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def write_patch(file: Path, *steps: Files) -> Path:
    """Write a patch file with one diff from each of the trees to the next."""
    pairs = itertools.pairwise(steps)
    file.write_text("".join(f"{diff_of(old, new)}-- \n2.40\n\n" for old, new in pairs))
    return file


def edited(files: Files, path: str, pattern: str, replacement: str) -> dict[str, str]:
    """Return the files after one substitution in ``path``, which must match once or more."""
    text, count = re.subn(pattern, replacement, files[path], flags=re.DOTALL | re.MULTILINE)
    assert count, f"{path} has no {pattern}"
    return {**files, path: text}
