# SPDX-License-Identifier: MIT
"""The directories of the harness: the user's cache, and the sources of the guest."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import platformdirs

from harness.errors import HostError, UsageError

__all__ = [
    "SHARED_VARIABLE",
    "cache_directory",
    "guest_images_directory",
    "shared_cache_directory",
]

_VARIABLE = "TSM_HARNESS_CACHE"
SHARED_VARIABLE = "TSM_HARNESS_CACHE_SHARED"
"""The environment variable that names a cache to read from."""
# make and a shell read these in a path; Kbuild has no way to quote them.
_UNBUILDABLE = re.compile(r"""[\s:;#$%&'"`*?()<>|\\\[\]{}!]""")
_WITHOUT_HOME = Path("/var/tmp")


def cache_directory(chosen: Path | None = None) -> Path:
    """Return ``chosen``, else ``$TSM_HARNESS_CACHE``, else the XDG cache directory.

    If the latter has a space or another character that Kbuild cannot take, returns a directory of
    this user in ``/var/tmp``. Creates the directory; raises :class:`HostError` when it cannot, and
    :class:`UsageError` for a chosen directory with such a character.
    """
    named = chosen or os.environ.get(_VARIABLE)
    path = Path(named or platformdirs.user_cache_dir("tsm-harness")).absolute()
    is_private = not named and bool(_UNBUILDABLE.search(str(path)))
    if is_private:
        path = _WITHOUT_HOME / f"tsm-harness-{os.getuid()}"
    _require_buildable(path, f"--cache or {_VARIABLE}")
    try:
        path.mkdir(0o700 if is_private else 0o777, parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"cannot create the cache directory {path}: {error.strerror}",
            hint=f"set another directory with --cache or {_VARIABLE}",
        ) from error
    if is_private:
        _require_ours(path)
    return path


def _require_buildable(path: Path, option: str) -> None:
    if found := _UNBUILDABLE.search(str(path)):
        raise UsageError(
            f"the cache directory {path} has {found[0]!r} in its path, which the kernel's build "
            "system cannot take",
            hint=f"set a directory without it with {option}",
        )


def _require_ours(path: Path) -> None:
    """Refuse a directory in ``/var/tmp`` that somebody else made or could write."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise HostError(
            f"{path} is not a directory that only this user can write",
            hint=f"remove it, or set another directory with --cache or {_VARIABLE}",
        )


def shared_cache_directory(chosen: Path | None = None) -> Path | None:
    """Return ``chosen``, else ``$TSM_HARNESS_CACHE_SHARED``, else None.

    Raises :class:`HostError` when there is no such directory.
    """
    named = chosen or os.environ.get(SHARED_VARIABLE)
    if not named:
        return None
    path = Path(named).absolute()
    _require_buildable(path, f"--shared-cache or {SHARED_VARIABLE}")
    if not path.is_dir():
        raise HostError(
            f"there is no shared cache {path}",
            hint=f"correct --shared-cache or {SHARED_VARIABLE}, or unset it",
        )
    return path


def guest_images_directory() -> Path:
    """Return the directory with the sources of the agent and the modules, and the kernel list.

    It is beside this package in a checkout, and inside it when a wheel was installed. Raises
    :class:`HostError` when it is missing.
    """
    package = Path(__file__).parent
    candidates = (package.parent / "guest-images", package / "guest_images")
    for path in candidates:
        if path.is_dir():
            return path
    raise HostError(
        f"this installation lacks the guest's sources: {' and '.join(map(str, candidates))}",
        hint="install tsm-harness again",
    )
