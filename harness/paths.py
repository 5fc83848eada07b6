# SPDX-License-Identifier: MIT
"""Where things are: the user's cache, and the sources of what becomes the guest."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from harness.errors import HostError

__all__ = ["cache_directory", "guest_images_directory"]

_VARIABLE = "TSM_HARNESS_CACHE"


def cache_directory(chosen: Path | None = None) -> Path:
    """The cache: ``chosen``, else ``$TSM_HARNESS_CACHE``, else the XDG cache directory.

    It is made when missing; raises :class:`HostError` when it cannot be.
    """
    named = chosen or os.environ.get(_VARIABLE)
    path = Path(named) if named else Path(platformdirs.user_cache_dir("tsm-harness"))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HostError(
            f"cannot make the cache directory {path}: {error.strerror}",
            hint=f"choose another with --cache or {_VARIABLE}",
        ) from error
    return path.absolute()


def guest_images_directory() -> Path:
    """The sources of the agent, the modules and the kernel list.

    They are beside this package in a checkout, and in it when it was installed from a wheel.
    """
    package = Path(__file__).parent
    places = (package.parent / "guest-images", package / "guest_images")
    for path in places:
        if path.is_dir():
            return path
    raise HostError(f"the guest's sources are not at {places[0]}", hint="install the harness again")
