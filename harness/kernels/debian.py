# SPDX-License-Identifier: MIT
"""Fetches packaged kernels with their headers and unpacks them into the cache, without root."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError, HostError
from harness.kernels.apt import PrivateApt, with_apt
from harness.kernels.model import Kernel, parse_config
from harness.kernels.spec import PackagedKernel
from harness.kernels.toolchain import wrap_tools
from harness.progress import Progress

__all__ = ["fetch_debian", "unpack_archive"]

_REFRESH_SECONDS = 86400.0
_HEADER_PARTS = ("-common", "linux-kbuild-")
_IMAGE_PARTS = ("linux-binary-", "linux-modules-")  # of kernels split into several packages
_LAYOUT = "3"  # of an unpacked kernel; a new number makes every entry anew


def fetch_debian(named: PackagedKernel, cache: Cache, progress: Progress) -> Kernel:
    """Return the newest kernel of a packaged series, fetched when the cache lacks it.

    The package lists are refreshed once a day; when that fails, the last known version is used if
    it is in the cache. Raises :class:`HostError` when there is none.
    """
    with cache.lock(f"apt/{named.name.replace(':', '-')}") as state:
        release, packages = _resolve(named, cache, state, progress)

        def unpack(directory: Path) -> None:
            _fetch(PrivateApt(state, named.suites, progress), packages, directory, progress)
            if named.libraries:
                wrap_tools(directory)

        root = cache.get_or_make("kernel", _key(packages), unpack)
    return _kernel(named.name, release, root)


def _key(packages: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([_LAYOUT, packages]).encode()).hexdigest()


def _resolve(
    named: PackagedKernel, cache: Cache, state: Path, progress: Progress
) -> tuple[str, dict[str, str]]:
    """The release and the versions of its packages, looked up at most once a day."""
    record, known = state / "newest.json", state / "newest.json"
    if cache.shared is not None and not record.exists():
        known = cache.shared / "apt" / state.name / "newest.json"
    last = _read_record(known)
    # The archive may have dropped the recorded versions, so they are of use only when cached.
    cached = last is not None and cache.get("kernel", _key(last[1])) is not None
    if last is not None and cached and _age_seconds(known) < _REFRESH_SECONDS:
        return last
    try:
        found = with_apt(state, named.suites, progress, lambda apt: _look_up(named, apt))
    except HostError:
        if last is not None and cached:
            return last
        raise
    if record.is_dir():
        shutil.rmtree(record)
    record.write_text(json.dumps(found), encoding="utf-8")
    return found


def _read_record(record: Path) -> tuple[str, dict[str, str]] | None:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        release, packages = json.loads(record.read_bytes())
        if f"linux-image-{release}" in packages:
            return release, {str(name): str(version) for name, version in packages.items()}
    return None


def _age_seconds(path: Path) -> float:
    """The time since ``path`` was written; infinite when it does not exist."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _look_up(named: PackagedKernel, apt: PrivateApt) -> tuple[str, dict[str, str]]:
    apt.update()
    matches = [re.match(named.packages, name) for name in apt.names("linux-image-")]
    releases = [match[1] for match in matches if match]
    if not releases:
        raise HostError(
            f"no package in {', '.join(named.suites)} matches {named.packages}",
            hint="the mirror may lack the suite; set TSM_HARNESS_MIRROR to one that has it",
        )
    release = max(releases, key=_version_order)
    image, headers = f"linux-image-{release}", f"linux-headers-{release}"
    parts = [name for name in apt.depends(headers) if any(part in name for part in _HEADER_PARTS)]
    parts += [name for name in apt.depends(image) if name.startswith(_IMAGE_PARTS)]
    return release, apt.versions([image, headers, *parts, *named.libraries])


def _version_order(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def _fetch(
    apt: PrivateApt, packages: Mapping[str, str], directory: Path, progress: Progress
) -> None:
    archives = directory / "archives"
    archives.mkdir()
    files = apt.download(packages, archives)
    with progress.step("unpacking the kernel"):
        for file in files:
            unpack_archive(file, directory)
            file.unlink()
    archives.rmdir()
    for makefile in directory.glob("usr/src/linux-headers-*/Makefile"):
        _relocate(makefile)


def unpack_archive(archive: Path, directory: Path) -> None:
    """Unpack a package into ``directory``.

    Raises :class:`HostError` on a full disk and :class:`BuildError` for a damaged package.
    """
    try:
        done = subprocess.run(
            ["dpkg-deb", "-x", str(archive), str(directory)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(
            "this host has no dpkg-deb, which packaged kernels need",
            hint="install the package dpkg",
        ) from error
    if done.returncode:
        if "No space left" in done.stderr:
            raise HostError(
                f"the disk is full: {directory}",
                hint="free some space, or move the cache with --cache",
            )
        raise BuildError(f"cannot unpack {archive.name}: {done.stderr.strip()[-400:]}")


def _relocate(makefile: Path) -> None:
    """Replace installed paths in the headers' Makefile by paths relative to it."""
    lines = makefile.read_text(encoding="utf-8").splitlines(keepends=True)
    directory = "$(dir $(abspath $(lastword $(MAKEFILE_LIST))))"
    relative = "include $(dir $(lastword $(MAKEFILE_LIST)))../"
    changed = [
        f"KBUILD_OUTPUT := $(patsubst %/,%,{directory})\n"
        if line.startswith("KBUILD_OUTPUT=")
        else line.replace("include /usr/src/", relative)
        for line in lines
    ]
    if changed != lines:
        makefile.write_text("".join(changed), encoding="utf-8")


def _kernel(spec: str, release: str, root: Path) -> Kernel:
    build = root / "usr" / "src" / f"linux-headers-{release}"
    split = root / "usr" / "lib" / "modules" / release  # of kernels split into several packages
    if split.exists():
        image, modules, config_file = split / "vmlinuz", split / "kernel", build / ".config"
    else:
        image = root / "boot" / f"vmlinuz-{release}"
        modules = root / "lib" / "modules" / release / "kernel"
        config_file = root / "boot" / f"config-{release}"
    for path in (build, image, modules, config_file):
        if not path.exists():
            raise BuildError(
                f"the packages of {release} have an unknown layout: they lack "
                f"{path.relative_to(root)}"
            )
    config = parse_config(config_file.read_text(encoding="utf-8"))
    kernel = Kernel(spec, release, image, build, modules, config)
    kernel.require("VIRTIO_CONSOLE", "the harness talks to the guest over virtio-serial")
    return kernel
