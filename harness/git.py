# SPDX-License-Identifier: MIT
"""Runs git on a given directory, whatever the environment and the user's configuration say.

Identity, aliases for URLs and filters of the user stay in effect. The configuration of a repository
names programs that git runs. :func:`git` trusts the repository, as git itself does;
:func:`confined_git` is for a tree that may be a stranger's.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.errors import HostError, TsmHarnessError, UsageError
from harness.sandbox import confine, confined_environment

__all__ = [
    "bisecting",
    "commit_of",
    "confined_git",
    "git",
    "git_bytes",
    "git_succeeds",
    "repository_paths",
    "run_git",
    "temporary_worktree",
]

_SECONDS = 600
# Hooks and `git bisect run` set these to their own repository; the last one changes the output.
_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_EXTERNAL_DIFF",
)
# Settings of the user that would run programs, ask for a passphrase, or change what git writes.
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.autocrlf": "false",
    "apply.whitespace": "nowarn",
    "apply.ignoreWhitespace": "no",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",
    "color.ui": "false",
    "rerere.enabled": "false",
    "submodule.recurse": "false",
    "gc.auto": "0",
}
_FIXED = {"LC_ALL": "C", "LANGUAGE": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_EDITOR": "true"}
_OTHER_OWNER = re.compile(r"detected dubious ownership in repository at '(?P<path>[^']*)'")


def git(directory: Path, *arguments: str, data: bytes | None = None) -> str:
    """Run git with ``data`` as its input; returns its output.

    Raises :class:`UsageError` with git's error message.
    """
    return git_bytes(directory, *arguments, data=data).decode("utf-8", "replace")


def git_bytes(
    directory: Path, *arguments: str, data: bytes | None = None, seconds: float = _SECONDS
) -> bytes:
    """Like :func:`git`, but returns raw bytes; raises :class:`HostError` after ``seconds``."""
    return _output(directory, arguments, _run(directory, arguments, data, seconds))


def confined_git(directory: Path, *arguments: str, seconds: float = _SECONDS) -> bytes:
    """Like :func:`git_bytes`; git and the programs that it runs can only read the repository."""
    command = confine(_command(directory, arguments), readable=repository_paths(directory))
    environment = confined_environment(directory)
    return _output(directory, arguments, run_git(command, environment, None, seconds))


def repository_paths(directory: Path) -> list[Path]:
    """Return the paths that git reads for a working tree whose top is ``directory``.

    A linked working tree has a file ``.git`` that names a directory below that of its repository.
    """
    paths = [directory]
    try:
        text = (directory / ".git").read_text(encoding="utf-8", errors="replace")
        linked = Path(text.removeprefix("gitdir: ").strip())
        back = (linked / "gitdir").read_text(encoding="utf-8", errors="replace").strip()
    except (OSError, ValueError):
        return paths
    # A stranger's file may name any directory, but that of a repository names the working tree.
    if linked.parent.name == "worktrees" and Path(back) == directory / ".git":
        paths.append(linked.parents[1])
    return paths


def _output(
    directory: Path, arguments: Sequence[str], done: subprocess.CompletedProcess[bytes]
) -> bytes:
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip()[-1000:]
        if other := _OTHER_OWNER.search(message):
            raise HostError(
                f"git refuses the repository {other['path']}, which belongs to another user: "
                f"{message.splitlines()[0]}",
                hint=f"git config --global --add safe.directory {shlex.quote(other['path'])}",
            )
        failure = message or f"exit status {done.returncode}"
        raise UsageError(f"git {arguments[0]} in {directory}: {failure}")
    return done.stdout


def commit_of(repository: Path, revision: str) -> str:
    """Return the full id of the commit that ``revision`` names.

    Raises :class:`UsageError` when there is none, or no repository.
    """
    name = f"{revision}^{{commit}}"
    try:
        git(repository, "rev-parse", "--git-dir")
    except UsageError as error:
        raise UsageError(
            f"{repository.absolute()} is not in a git repository: {error}",
            hint="name the repository with --repository",
        ) from error
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name).strip()
    except UsageError as error:
        raise UsageError(
            f"{repository.absolute()} has no commit {revision!a}",
            hint="name a commit, a branch or a tag of this repository",
        ) from error


def git_succeeds(directory: Path, *arguments: str, data: bytes | None = None) -> bool:
    """Whether git exits with status 0."""
    return _run(directory, arguments, data).returncode == 0


def bisecting(directory: Path) -> bool:
    """Whether a ``git bisect`` is in progress in the repository of ``directory``."""
    try:
        file = git(directory, "rev-parse", "--git-path", "BISECT_START").strip()
    except TsmHarnessError:
        return False
    return (directory / file).exists()


@contextmanager
def temporary_worktree(repository: Path, revision: str, parent: Path) -> Iterator[Path]:
    """Check ``revision`` out below ``parent``; the user's own working tree is not changed."""
    tree = parent / "tree"
    git(repository, "worktree", "add", "--quiet", "--detach", str(tree), revision)
    try:
        yield tree
    finally:
        _run(repository, ("worktree", "remove", "--force", str(tree)), None)


def _run(
    directory: Path, arguments: Sequence[str], data: bytes | None, seconds: float = _SECONDS
) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _VARIABLES}
    return run_git(_command(directory, arguments), environment | _FIXED, data, seconds)


def _command(directory: Path, arguments: Sequence[str]) -> list[str]:
    settings = [part for item in _SETTINGS.items() for part in ("-c", "=".join(item))]
    return ["git", *settings, "-C", str(directory), *arguments]


def run_git(
    command: list[str], environment: dict[str, str], data: bytes | None, seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run a command line of git with ``environment`` alone, whatever its exit status is.

    Raises :class:`HostError` when the host has no git, and after ``seconds``.
    """
    try:
        return subprocess.run(
            command,
            env=environment,
            input=data or b"",
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError("this host has no git", hint="install the package git") from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"git did not finish within {seconds} s") from error
