# SPDX-License-Identifier: MIT
"""apt's ordinary client in a private configuration: no root, and the host's lists untouched.

The mirror's address comes from the host's own apt configuration, or from TSM_HARNESS_MIRROR (and
TSM_HARNESS_SECURITY_MIRROR) on hosts that have none.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.errors import HostError
from harness.progress import Progress

__all__ = ["PrivateApt"]

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_COMMAND_SECONDS = 600
_POLL_SECONDS = 0.1
_TARGET = "$(ORIGIN)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)"


class PrivateApt:
    """An apt below ``root`` that knows ``suites`` ("SUITE COMPONENT") and nothing else.

    Raises :class:`HostError` when the host has no apt, no mirror or no network.
    """

    def __init__(self, root: Path, suites: Sequence[str], progress: Progress) -> None:
        self._root = root
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
        self._options = [word for key, value in config.items() for word in ("-o", f"{key}={value}")]

    def update(self) -> None:
        """Fetch the suites' package lists."""
        with self._progress.step("refreshing package lists"):
            self._run("apt-get", "update", "-q", "--error-on=any")

    def names(self, prefix: str) -> list[str]:
        """The names of packages that begin with ``prefix``."""
        return self._run("apt-cache", "pkgnames", prefix).split()

    def depends(self, package: str) -> list[str]:
        """The names a package depends on."""
        shown = self._run("apt-cache", "show", "--no-all-versions", package)
        fields = [line for line in shown.splitlines() if line.startswith("Depends:")]
        words = re.split(r"[,|]", fields[0].partition(":")[2]) if fields else []
        return [word.split()[0] for word in words if word.strip()]

    def versions(self, packages: Sequence[str]) -> dict[str, str]:
        """The version of each package that a download would give."""
        shown = self._run("apt-cache", "show", "--no-all-versions", *packages)
        names = re.findall(r"^Package: (.*)$", shown, re.MULTILINE)
        return dict(zip(names, re.findall(r"^Version: (.*)$", shown, re.MULTILINE), strict=True))

    def download(self, versions: Mapping[str, str], directory: Path) -> list[Path]:
        """Download packages in these versions into ``directory``; apt verifies their checksums."""
        packages = [f"{name}={version}" for name, version in versions.items()]
        shown = self._run("apt-get", "download", "--print-uris", *packages)
        total = sum(int(size) for size in re.findall(r"\.deb (\d+) ", shown))
        words = f"downloading {next(iter(versions))} and {len(packages) - 1} more"
        command = ["apt-get", *self._options, "download", "-q", *packages]
        with self._progress.step(words, total=total) as step:
            process = self._start(command, directory)
            done = 0
            while True:
                try:
                    said, _ = process.communicate(timeout=_POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    now = sum(path.stat().st_size for path in directory.glob("*.deb"))
                    step.advance(now - done)
                    done = now
                except BaseException:
                    process.kill()
                    raise
        if process.returncode:
            raise _failed("apt-get download", said)
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

    def _run(self, program: str, *words: str) -> str:
        try:
            done = subprocess.run(
                [program, *self._options, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except FileNotFoundError as error:
            raise HostError(
                f"this host has no {program}: packaged kernels need a Debian host",
                hint="give a kernel image by its path instead",
            ) from error
        except subprocess.TimeoutExpired as error:
            raise HostError(f"{program} {words[0]} took too long: the mirror hangs") from error
        if done.returncode:
            raise _failed(f"{program} {words[0]}", done.stderr or done.stdout)
        return done.stdout


def _failed(what: str, said: str) -> HostError:
    lines = [line for line in said.splitlines() if line.startswith(("E:", "Err:", "W:"))]
    words = "\n".join(lines[:5]) or said.strip()[-400:]
    return HostError(
        f"{what} failed:\n{words}",
        hint="check the network and the host's apt sources; with a warm cache neither is needed",
    )


def _source_line(suite: str) -> str:
    if not _KEYRING.exists():
        raise HostError(
            "this host lacks Debian's archive keys, so packages could not be verified",
            hint="install the package debian-archive-keyring, or give a kernel image by its path",
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
        # The origin is empty as long as the host has never fetched the suite's lists.
        is_debian = origin == "Debian" or (not origin and "debian" in uri)
        if is_debian and component == "main" and release.endswith("-security") == security:
            return uri
    raise HostError(
        f"the host's apt configuration names no {'security ' if security else ''}mirror of Debian",
        hint=f"set {variable} to the address of one",
    )


def age_seconds(path: Path) -> float:
    """How long ago ``path`` was written; infinite when it does not exist."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
