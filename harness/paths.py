# SPDX-License-Identifier: MIT
"""The directories of the harness: the user's cache, and the sources of the guest."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from harness.errors import HostError

__all__ = [
    "SHARED_VARIABLE",
    "cache_directory",
    "guest_images_directory",
    "shared_cache_directory",
]

_VARIABLE = "TSM_HARNESS_CACHE"
SHARED_VARIABLE = "TSM_HARNESS_CACHE_SHARED"
"""The environment variable that names a cache to read from."""


def cache_directory(chosen: Path | None = None) -> Path:
    """Return ``chosen``, else ``$TSM_HARNESS_CACHE``, else the XDG cache directory.

    Creates the directory; raises :class:`HostError` when it cannot.
    """
    named = chosen or os.environ.get(_VARIABLE)
    path = Path(named) if named else Path(platformdirs.user_cache_dir("tsm-harness"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"cannot create the cache directory {path}: {error.strerror}",
            hint=f"set another directory with --cache or {_VARIABLE}",
        ) from error
    return path.absolute()


def shared_cache_directory(chosen: Path | None = None) -> Path | None:
    """Return ``chosen``, else ``$TSM_HARNESS_CACHE_SHARED``, else None.

    Raises :class:`HostError` when there is no such directory.
    """
    named = chosen or os.environ.get(SHARED_VARIABLE)
    if not named:
        return None
    path = Path(named).absolute()
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
