# SPDX-License-Identifier: MIT
"""What a file format of a run report declares about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Argument", "Format"]


@dataclass(frozen=True)
class Argument:
    """A further keyword argument of ``write``: an option ``--FORMAT-ARGUMENT``."""

    default: str
    help: str


@dataclass(frozen=True)
class Format:
    """A file format, and so an option ``--NAME FILE``.

    ``write(path, run)`` writes a :class:`harness.verdict.RunResult`; it takes the ``arguments``
    as keywords, and raises :class:`harness.errors.HostError` if the file cannot be written.
    """

    name: str
    help: str
    write: Callable[..., None]
    arguments: Mapping[str, Argument] = field(default_factory=dict)
