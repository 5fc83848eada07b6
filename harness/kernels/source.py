# SPDX-License-Identifier: MIT
"""Fetches the sources of packaged kernels, to build them with sanitizers or other options."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError
from harness.kernels.apt import PrivateApt, with_apt
from harness.kernels.debian import unpack_archive
from harness.kernels.spec import PackagedSource
from harness.progress import Progress

__all__ = ["fetch_source"]

_LAYOUT = "1"


def fetch_source(
    named: PackagedSource,
    cache: Cache,
    progress: Progress,
    *,
    only: tuple[str, ...] = (),
    version: str = "",
) -> Path:
    """The unpacked tree of a ``linux-source`` package, fetched when the cache lacks it.

    ``only`` limits the tree to the files that match one of these patterns. Without ``version`` it
    is the newest one when it is fetched; a cached tree is never updated: an update would build its
    kernels anew. Raises :class:`harness.errors.HostError` when the package cannot be fetched.
    """
    key = _key(named)
    if version:
        key = _key(named, only, (version,))
    elif only and not cache.has("source", key):
        key = _key(named, only)

    def fetch(directory: Path) -> None:
        with cache.lock(f"apt/{named.name.replace(':', '-')}") as state:
            archives = directory / "archives"
            archives.mkdir()

            def download(apt: PrivateApt) -> list[Path]:
                apt.update()
                versions = {named.package: version} if version else apt.versions([named.package])
                return apt.download(versions, archives)

            [archive] = with_apt(state, named.suites, progress, download)
        with progress.step(f"unpacking {named.package}"):
            unpack_archive(archive, archives)
            [tarball] = archives.glob("usr/src/linux-source-*.tar.xz")
            _untar(tarball, directory, only)
        shutil.rmtree(archives)

    [tree] = cache.get_or_make("source", key, fetch).glob("linux-source-*")
    return tree


def _key(named: PackagedSource, *only: tuple[str, ...]) -> str:
    return hashlib.sha256(repr((_LAYOUT, named, *only)).encode()).hexdigest()


def _untar(tarball: Path, directory: Path, only: tuple[str, ...]) -> None:
    command = ["tar", "-xJf", str(tarball), "-C", str(directory)]
    if only:
        command += ["--wildcards", *only]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"cannot unpack {tarball.name}: {done.stderr.strip()[-400:]}")
