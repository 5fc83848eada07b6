# SPDX-License-Identifier: MIT
"""Runs apt in a private directory: without root, and without changing the host's package lists.

The mirror's address comes from the host's apt configuration, or from the environment variables
TSM_HARNESS_MIRROR and TSM_HARNESS_SECURITY_MIRROR.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from harness.errors import HostError
from harness.progress import Progress

__all__ = ["PrivateApt", "with_apt"]

R = TypeVar("R")

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LOG = logging.getLogger(__name__)
_STATE = ("lists", "cache", "etc", "status")
_NETWORK = re.compile(
    "Could not (resolve|connect)|Temporary failure|timed out|unreachable|Unable to connect|"
    "Connection (failed|refused)|has no .*(apt|mirror)|lacks the archive keys|disk is full"
)
_DISK = re.compile("No space left|enough free space|quota exceeded", re.IGNORECASE)
_COMMAND_SECONDS = 600
_POLL_SECONDS = 0.1
_TARGET = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"


class PrivateApt:
    """apt with its state below ``root`` and only the sources ``suites`` ("SUITE COMPONENT").

    Raises :class:`HostError` when the host has no apt, no mirror or no network.
    """

    def __init__(self, root: Path, suites: Sequence[str], progress: Progress) -> None:
        self._progress = progress
        for name in ("lists/partial", "cache/archives/partial", "etc"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "status").touch()
        lines = [_source_line(suite) for suite in suites]
        (root / "etc" / "sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")
        config = {
            "Dir::Etc::sourcelist": root / "etc" / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": root,
            "Dir::State::status": root / "status",
            "Dir::State::lists": root / "lists",
            "Dir::Cache": root / "cache",
            "APT::Sandbox::User": "",
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Debug::NoLocking": "true",
        }
        self._options = [part for key, value in config.items() for part in ("-o", f"{key}={value}")]

    def update(self) -> None:
        """Fetch the package lists of the suites."""
        with self._progress.step("refreshing package lists"):
            self._run("apt-get", "update", "-q", "--error-on=any")

    def names(self, prefix: str) -> list[str]:
        """The names of packages that begin with ``prefix``."""
        return self._run("apt-cache", "pkgnames", prefix).split()

    def depends(self, package: str) -> list[str]:
        """The names of the packages that a package depends on."""
        shown = self._run("apt-cache", "show", "--no-all-versions", package)
        fields = [line for line in shown.splitlines() if line.startswith("Depends:")]
        items = re.split(r"[,|]", fields[0].partition(":")[2]) if fields else []
        return [item.split()[0] for item in items if item.strip()]

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """The version of each package that apt would download."""
        shown = self._run("apt-cache", "show", "--no-all-versions", *packages)
        names = re.findall(r"^Package: (.*)$", shown, re.MULTILINE)
        return dict(zip(names, re.findall(r"^Version: (.*)$", shown, re.MULTILINE), strict=True))

    def download(self, versions: Mapping[str, str], directory: Path) -> list[Path]:
        """Download packages in these versions into ``directory``; apt verifies their checksums."""
        packages = [f"{name}={version}" for name, version in versions.items()]
        shown = self._run("apt-get", "download", "--print-uris", *packages)
        total = sum(int(size) for size in re.findall(r"\.deb (\d+) ", shown))
        more = f" and {len(packages) - 1} more" if len(packages) > 1 else ""
        title = f"downloading {next(iter(versions))}{more}"
        command = ["apt-get", *self._options, "download", "-q", *packages]
        with self._progress.step(title, total=total) as step:
            process = self._start(command, directory)
            done = 0
            while True:
                try:
                    output, _ = process.communicate(timeout=_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    now = sum(path.stat().st_size for path in directory.glob("*.deb"))
                    step.advance(now - done)
                    done = now
                except BaseException:
                    process.kill()
                    raise
        if process.returncode:
            raise _apt_error("apt-get download", output)
        return sorted(directory.glob("*.deb"))

    def _start(self, command: list[str], directory: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _run(self, program: str, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [program, *self._options, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise HostError(
                f"this host has no {program}, which packaged kernels need",
                hint="name a kernel image by its path instead",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise HostError(
                f"{program} {arguments[0]} did not finish within {_COMMAND_SECONDS} s",
                hint="check that the mirror responds",
            ) from error
        if done.returncode:
            raise _apt_error(f"{program} {arguments[0]}", done.stderr or done.stdout)
        return done.stdout


def with_apt(
    root: Path, suites: Sequence[str], progress: Progress, use: Callable[[PrivateApt], R]
) -> R:
    """Call ``use`` with a private apt; if that fails, once more with a new state below ``root``.

    The state is removed only when the network is not to blame. Raises :class:`HostError`.
    """
    try:
        return use(PrivateApt(root, suites, progress))
    except (HostError, OSError) as error:
        if _NETWORK.search(str(error)) or not any((root / name).exists() for name in _STATE):
            raise
        _LOG.warning("tsm-harness: the apt state in %s may be damaged; it is made again", root)
    for name in _STATE:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    return use(PrivateApt(root, suites, progress))


def _apt_error(command: str, output: str) -> HostError:
    lines = [line for line in output.splitlines() if line.startswith(("E:", "Err:", "W:"))]
    shown = "\n".join(lines[:5]) or output.strip()[-400:]
    if _DISK.search(output):
        return HostError(
            f"{command} failed because the disk is full:\n{shown}",
            hint="free some space (`tsm-harness images prune`), or move the cache with --cache",
        )
    return HostError(
        f"{command} failed:\n{shown}",
        hint="check the network and the host's apt sources; a kernel that is in the cache needs "
        "neither",
    )


def _source_line(suite: str) -> str:
    if not _KEYRING.exists():
        raise HostError(
            "this host lacks the archive keys of Debian, so apt cannot verify packages",
            hint="install the package debian-archive-keyring, or name a kernel image by its path",
        )
    name, _, component = suite.partition(" ")
    mirror = _mirror(security=name.endswith("-security"))
    return f"deb [signed-by={_KEYRING}] {mirror} {name} {component}"


def _mirror(*, security: bool) -> str:
    variable = "TSM_HARNESS_SECURITY_MIRROR" if security else "TSM_HARNESS_MIRROR"
    if named := os.environ.get(variable):
        return named
    try:
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", _TARGET],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        listed = ""
    for line in listed.splitlines():
        origin, component, release, uri = line.split("|", 3)
        # The origin is empty until the host has fetched the suite's lists.
        is_debian = origin == "Debian" or (not origin and "debian" in uri)
        if is_debian and component == "main" and release.endswith("-security") == security:
            return uri
    raise HostError(
        f"the host's apt configuration has no {'security ' if security else ''}mirror of Debian",
        hint=f"set {variable} to the address of a mirror",
    )
