# SPDX-License-Identifier: MIT
"""Where test PKIs live: a directory shared by processes, or memory.

RSA keys and PSS signatures cannot be made from a seed with ``cryptography``, so what was made
once is kept: evidence stays the same byte for byte as long as its store does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from tempfile import mkstemp
from threading import Lock

from filelock import FileLock

from providers_sim.errors import EvidenceError

__all__ = ["PkiStore"]

_MEMORY: dict[str, dict[str, bytes]] = {}
_MEMORY_LOCK = Lock()
_LOCK_SECONDS = 60.0


class PkiStore:
    """Named groups of files, each made once by whoever needs it first."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def get(self, group: str, make: Callable[[], dict[str, bytes]], *names: str) -> list[bytes]:
        """Return the files ``names`` of ``group``; ``make`` is called when there are none yet.

        Raises EvidenceError when the directory cannot be used or lacks one of them.
        """
        if self._directory is None:
            with _MEMORY_LOCK:
                files = _MEMORY.get(group) or _MEMORY.setdefault(group, make())
            return [files[name] for name in names]
        directory = self._directory / group
        try:
            _make_on_disk(directory, make)
            return [(directory / name).read_bytes() for name in names]
        except OSError as error:
            raise EvidenceError(
                f"the test PKI in {directory} cannot be used: {error}; "
                "name a writable directory, or remove the damaged one"
            ) from error


def _make_on_disk(directory: Path, make: Callable[[], dict[str, bytes]]) -> None:
    complete = directory / "complete"
    if complete.exists():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(directory / "lock", timeout=_LOCK_SECONDS):
        if not complete.exists():
            for name, content in make().items():
                _write(directory / name, content)
            _write(complete, b"")


def _write(path: Path, content: bytes) -> None:
    """Write all or nothing: a reader never sees a part, whatever ends this process."""
    handle, temporary = mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
