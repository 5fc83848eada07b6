# SPDX-License-Identifier: MIT
"""Packaged kernels: resolved, fetched and unpacked into the cache, without root."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError, HostError
from harness.kernels.apt import PrivateApt, age_seconds
from harness.kernels.model import Kernel, parse_config
from harness.kernels.spec import PackagedKernel
from harness.kernels.toolchain import wrap_tools
from harness.progress import Progress

__all__ = ["fetch_debian", "unpack_archive"]

_REFRESH_SECONDS = 86400.0
_HEADER_PARTS = ("-common", "linux-kbuild-")
_IMAGE_PARTS = ("linux-binary-", "linux-modules-")  # of kernels split into several packages
_LAYOUT = "3"  # of an unpacked kernel; another number makes it anew


def fetch_debian(named: PackagedKernel, cache: Cache, progress: Progress) -> Kernel:
    """The newest kernel of a packaged series, from the cache when it is there.

    The package lists are looked at once a day; without a network, what was found last is used.
    Raises :class:`HostError` when there is neither.
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
    memo = state / "newest.json"
    known = _remembered(memo)
    # Without its packages a memory is of no use: the archive may have replaced them since.
    usable = known is not None and cache.has("kernel", _key(known[1]))
    if known is not None and usable and age_seconds(memo) < _REFRESH_SECONDS:
        return known
    try:
        found = _look_up(named, PrivateApt(state, named.suites, progress))
    except HostError:
        if known is not None and usable:
            return known
        raise
    memo.write_text(json.dumps(found), encoding="utf-8")
    return found


def _remembered(memo: Path) -> tuple[str, dict[str, str]] | None:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        release, packages = json.loads(memo.read_bytes())
        return str(release), {str(name): str(version) for name, version in packages.items()}
    return None


def _look_up(named: PackagedKernel, apt: PrivateApt) -> tuple[str, dict[str, str]]:
    apt.update()
    matches = [re.match(named.packages, name) for name in apt.names("linux-image-")]
    releases = [match[1] for match in matches if match]
    if not releases:
        raise HostError(
            f"none of {', '.join(named.suites)} has a package like {named.packages}",
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
    """Unpack a package into ``directory``; raises :class:`HostError` on a full disk."""
    try:
        done = subprocess.run(
            ["dpkg-deb", "-x", str(archive), str(directory)],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError("this host has no dpkg-deb", hint="install the package dpkg") from error
    if done.returncode:
        if "No space left" in done.stderr:
            raise HostError(
                f"the disk is full: {directory}", hint="free some space, or use --cache"
            )
        raise BuildError(f"cannot unpack {archive.name}: {done.stderr.strip()[-400:]}")


def _relocate(makefile: Path) -> None:
    """The headers' Makefile names itself and another by installed paths; both are here."""
    lines = makefile.read_text(encoding="utf-8").splitlines(keepends=True)
    here = "$(dir $(abspath $(lastword $(MAKEFILE_LIST))))"
    relative = "include $(dir $(lastword $(MAKEFILE_LIST)))../"
    changed = [
        f"KBUILD_OUTPUT := $(patsubst %/,%,{here})\n"
        if line.startswith("KBUILD_OUTPUT=")
        else line.replace("include /usr/src/", relative)
        for line in lines
    ]
    if changed != lines:
        makefile.write_text("".join(changed), encoding="utf-8")


def _kernel(spec: str, release: str, root: Path) -> Kernel:
    build = root / "usr" / "src" / f"linux-headers-{release}"
    own = root / "usr" / "lib" / "modules" / release
    if own.exists():  # split packages
        image, modules, config_file = own / "vmlinuz", own / "kernel", build / ".config"
    else:
        image = root / "boot" / f"vmlinuz-{release}"
        modules = root / "lib" / "modules" / release / "kernel"
        config_file = root / "boot" / f"config-{release}"
    for path in (build, image, modules, config_file):
        if not path.exists():
            raise BuildError(
                f"the packages of {release} do not have the layout known: no {path.name}"
            )
    config = parse_config(config_file.read_text(encoding="utf-8"))
    kernel = Kernel(spec, release, image, build, modules, config)
    kernel.require("VIRTIO_CONSOLE", "the harness talks to the guest over virtio-serial")
    return kernel
