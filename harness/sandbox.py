# SPDX-License-Identifier: MIT
"""Confines programs that work on strangers' bytes: make, compilers, kconfig, addr2line, git.

Bubblewrap (bwrap(1)) gives a command a root directory with the system's programs and the paths that
the caller names. Nothing else of this host is visible: no home directory, no network, no process,
an empty ``/tmp``. If we are root, the command runs as the user `nobody` without capabilities. What
it can change are the directories that the caller names as writable; all of its processes end with
it.

A directory that a confined command could write holds hostile files: :func:`writable` removes the
links that lead out of it, before this process opens anything there.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import HostError, UsageError

__all__ = [
    "NOBODY",
    "Sandbox",
    "confine",
    "confined_environment",
    "drop_privileges",
    "find_sandbox",
    "writable",
]

NOBODY = 65534
"""User and group that confined programs have if we are root."""

_VARIABLE = "TSM_HARNESS_SANDBOX"
_HINT = f"install the package bubblewrap (`make setup`), or set {_VARIABLE}=auto"
_PROBE_SECONDS = 30
_PRIVATE_TMP = 4 << 30  # bytes; memory is used for what is written
_LARGEST_FILE = 16 << 30  # bytes; vmlinux with debug information and KASAN has about 1 GiB
_PROCESSES = 1024  # and some for each processor, for make -j
_SYSTEM = (
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
)  # links into /usr, or directories
_READABLE = ("/etc/ld.so.cache", "/etc/alternatives", "/nix/store", "/gnu/store")
_TOOLS = ("gcc", "ld", "make")
_NAMESPACES = (
    "--die-with-parent",
    "--unshare-ipc",
    "--unshare-pid",
    "--unshare-net",
    "--unshare-uts",
)


@dataclass(frozen=True)
class Sandbox:
    """What this host can do.

    ``namespaces``, ``programs`` and ``data`` are arguments of bwrap, all empty when nothing is
    confined: the namespaces, the system's programs, and /proc, /dev and /tmp. With ``as_nobody``
    the command changes to the user nobody. ``missing`` says what is not confined, and why; it is
    empty when everything is.
    """

    namespaces: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    as_nobody: bool = False
    missing: str = ""

    @property
    def arguments(self) -> tuple[str, ...]:
        """All arguments of bwrap but those for the files of one command."""
        return (*self.namespaces, *self.programs, *self.data)

    @property
    def confines(self) -> bool:
        """Whether commands are confined."""
        return bool(self.namespaces)


@cache
def find_sandbox() -> Sandbox:
    """Find out, by doing it, how this host can confine a command.

    The environment variable ``TSM_HARNESS_SANDBOX`` is ``auto`` (the default: what the host can
    do), ``require`` or ``off``. Raises :class:`HostError` when it requires what the host cannot do.
    """
    wanted = os.environ.get(_VARIABLE) or "auto"
    if wanted not in ("auto", "require", "off"):
        raise UsageError(
            f"{_VARIABLE} is {wanted!r}", hint=f"set {_VARIABLE} to auto, require or off"
        )
    if wanted == "off":
        return Sandbox(missing=f"builds are not confined, because of {_VARIABLE}=off")
    found = _probe()
    if found.missing and wanted == "require":
        raise HostError(f"{_VARIABLE} is require, but {found.missing}", hint=_HINT)
    return found


def confine(
    command: Sequence[str],
    *,
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
    hidden: Sequence[Path] = (),
    directory: Path = Path("/"),
) -> list[str]:
    """Return the command line that runs ``command`` in ``directory``, confined.

    ``readable`` are files and directories that it may read, ``writable`` are those that it may
    change as well, ``hidden`` are files below these that look empty. The command ends when the
    calling thread does.
    """
    sandbox = find_sandbox()
    limited = ["prlimit", *_limits(sandbox), "--", *drop_privileges(sandbox), *command]
    if not sandbox.confines:
        return ["setpriv", "--pdeathsig", "TERM", "--", *limited]
    seen = (*readable, *_toolchains())
    binds = {str(path): "--ro-bind-try" for each in seen for path in (each, each.resolve())}
    binds = {path: kind for path, kind in binds.items() if not _is_of_system(path)}
    binds |= {str(path): "--bind" for path in writable}
    mounts = _mount_arguments(binds)
    for path in hidden:
        if path.is_file():
            mounts += ["--ro-bind", "/dev/null", str(path)]
    rest = ["--remount-ro", "/", "--chdir", str(directory), "--", *limited]
    return ["bwrap", *sandbox.arguments, *mounts, *rest]


def _mount_arguments(binds: Mapping[str, str]) -> list[str]:
    """Return bwrap's arguments that mount each path in its place, by the option in ``binds``."""
    arguments: list[str] = []
    made = {"/", "/tmp"}
    for path, option in sorted(binds.items()):  # a directory comes before what is in it
        for parent in reversed([str(each) for each in Path(path).parents]):
            if parent not in made:  # bwrap would make it for itself only
                arguments += ["--perms", "0755", "--dir", parent]
                made.add(parent)
        arguments += [option, path, path]
    return arguments


def confined_environment(home: Path) -> dict[str, str]:
    """Return the whole environment of a confined command: nothing of the user's but ``PATH``.

    git accepts repositories of every owner: in a sandbox we may be another user.
    """
    return {
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
        "HOME": str(home),
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "GIT_OPTIONAL_LOCKS": "0",
    }


def drop_privileges(sandbox: Sandbox) -> list[str]:
    """Return the start of a command line that gives up every privilege for good."""
    user = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all"]
    dropped = [*user, "--inh-caps=-all"] if sandbox.as_nobody else []
    return ["setpriv", *dropped, "--no-new-privs", "--"]


@contextmanager
def writable(directory: Path, *, links: Sequence[Path] = ()) -> Iterator[None]:
    """Let confined commands write into ``directory`` during the context.

    At its end, every link that leads out of the directory and every device, pipe and socket is
    removed, so that no file of this host is opened through one. ``links`` may lead out.
    """
    directory = directory.resolve()
    if find_sandbox().as_nobody:
        _give_away(directory)
    try:
        yield
    finally:
        _remove_traps(directory, {str(path) for path in links})


def _probe() -> Sandbox:
    if shutil.which("bwrap") is None:
        return Sandbox(missing="builds are not confined: this host has no bwrap")
    failure = ""
    for sandbox in _candidates():
        command = ["bwrap", *sandbox.arguments, "--", *drop_privileges(sandbox), "true"]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return Sandbox(missing=f"builds are not confined: {error}")
        if done.returncode == 0:
            return sandbox
        failure = failure or done.stderr.strip()[-200:] or f"bwrap exits with {done.returncode}"
    return Sandbox(missing=f"builds are not confined: {failure}")


def _candidates() -> Iterator[Sandbox]:
    """Every way to confine, the best first."""
    user = ("--unshare-user", *_NAMESPACES)
    programs, data, less = _programs(), _data(proc=True), _data(proc=False)
    without_proc = "confined commands have no /proc, since this host does not let one be mounted"
    if os.geteuid() == 0:
        yield Sandbox(_NAMESPACES, programs, data, as_nobody=True)
        # Root of a container often has no privilege but a user namespace of its own. There the
        # command has our user id, and therefore our rights to the files that it can see.
        missing = "confined commands keep our user id: this host lets root make no namespace"
        yield Sandbox(user, programs, data, missing=missing)
        yield Sandbox(user, programs, less, missing=f"{missing}; {without_proc}")
        return
    yield Sandbox((*user, "--disable-userns"), programs, data)
    yield Sandbox(user, programs, data)
    yield Sandbox(user, programs, less, missing=without_proc)


def _programs() -> tuple[str, ...]:
    """Arguments of bwrap for a root directory that has the programs of this host, and no data."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = Path(name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), name]
        elif path.exists():
            arguments += ["--ro-bind", name, name]
    arguments += ["--perms", "0755", "--dir", "/etc"]
    for name in _READABLE:
        if Path(name).exists():
            arguments += ["--ro-bind", name, name]
    return tuple(arguments)


def _data(*, proc: bool) -> tuple[str, ...]:
    arguments = ["--proc", "/proc"] if proc else []
    arguments += ["--dev", "/dev", "--perms", "1777", "--size", str(_PRIVATE_TMP)]
    return (*arguments, "--tmpfs", "/tmp")


@cache
def _toolchains() -> tuple[Path, ...]:
    """The directories of compilers on the ``PATH`` that are not among the system's programs."""
    named = (Path(each) for each in os.environ.get("PATH", os.defpath).split(os.pathsep) if each)
    found = (path for path in named if path.is_absolute() and not _is_of_system(f"{path}/"))
    return tuple(
        path.parent for path in found if any(os.access(path / tool, os.X_OK) for tool in _TOOLS)
    )


def _is_of_system(path: str) -> bool:
    return path.startswith(("/usr/", "/nix/store/", "/gnu/store/", *(f"{p}/" for p in _SYSTEM)))


def _limits(sandbox: Sandbox) -> list[str]:
    """Limits for prlimit(1): they stop a fork bomb and an endless file, and no build."""
    wanted = {"fsize": (resource.RLIMIT_FSIZE, _LARGEST_FILE), "core": (resource.RLIMIT_CORE, 0)}
    if sandbox.confines:  # elsewhere the limit would count every process of the user
        processes = _PROCESSES + 16 * len(os.sched_getaffinity(0))
        wanted["nproc"] = (resource.RLIMIT_NPROC, processes)
    limits = []
    for name, (number, value) in wanted.items():
        hard = resource.getrlimit(number)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        limits.append(f"--{name}={lowest}")
    return limits


def _give_away(directory: Path) -> None:
    os.chown(directory, NOBODY, NOBODY)
    for entry in _walk(directory):
        with suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_uid != NOBODY:
                os.chown(entry.path, NOBODY, NOBODY, follow_symlinks=False)


def _remove_traps(directory: Path, kept: set[str]) -> None:
    for entry in list(_walk(directory)):
        with suppress(OSError):
            if entry.is_symlink():
                leads_out = not Path(entry.path).resolve().is_relative_to(directory)
                trap = leads_out and entry.path not in kept
            else:
                trap = not (entry.is_file() or entry.is_dir())
            if trap:
                Path(entry.path).unlink()


def _walk(directory: Path) -> Iterator[os.DirEntry[str]]:
    """Every entry below a directory, without following links."""
    pending = [str(directory)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield entry
