# SPDX-License-Identifier: MIT
"""Storage of test PKIs: in a directory that processes share, or in memory.

``cryptography`` cannot derive RSA keys and PSS signatures from a seed, so they are made once and
stored: evidence is the same byte for byte as long as the store is kept. The state of a store has
the files that were read from it, so that another machine can reproduce the evidence.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import mkstemp
from threading import Lock
from typing import Self

from filelock import FileLock

from providers_sim.errors import EvidenceError

__all__ = ["PkiStore"]

Files = dict[str, bytes]

_MEMORY: dict[str, Files] = {}
_MEMORY_LOCK = Lock()
_LOCK_SECONDS = 60.0
_COMPLETE, _LOCK, _KEY = "complete", "lock", "key"


class PkiStore:
    """Named groups of files; the first process that needs a group makes it."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory
        self._used: dict[str, Files] = {}

    @classmethod
    def from_state(cls, state: Mapping[str, object]) -> Self:
        """Make a store from the result of ``get_state``; TypeError or ValueError when malformed."""
        store = cls(None)
        for group, files in state.items():
            if not isinstance(files, dict):
                raise TypeError(f"the files of {group} are not a mapping")
            store._used[group] = {str(name): bytes.fromhex(text) for name, text in files.items()}
        return store

    def get_state(self) -> dict[str, object]:
        """Return the files read so far, in hexadecimal, by group and name."""
        return {
            group: {name: content.hex() for name, content in files.items()}
            for group, files in self._used.items()
        }

    def get(self, group: str, make: Callable[[], Files], *names: str) -> list[bytes]:
        """Return the files ``names`` of ``group``; ``make`` makes the group when it is missing.

        Raises EvidenceError when the directory cannot be used or lacks one of the files.
        """
        if group not in self._used:
            self._used[group] = self._fetch(group, make, names)
        try:
            return [self._used[group][name] for name in names]
        except KeyError as missing:
            raise EvidenceError(f"the test PKI {group} has no {missing}") from None

    @staticmethod
    def prune(directory: Path, before: float) -> int:
        """Remove leaf certificates last used before ``before`` (Unix time); return bytes freed.

        Authorities are kept, because verifiers may have pinned them.
        """
        freed = 0
        for complete in directory.glob(f"*/{_COMPLETE}"):
            group = complete.parent
            if _KEY not in {path.name for path in group.iterdir()}:
                with FileLock(group / _LOCK, timeout=_LOCK_SECONDS):
                    if complete.exists() and complete.stat().st_mtime < before:
                        complete.unlink()  # first: a partly removed group is made again
                        files = [path for path in group.iterdir() if path.name != _LOCK]
                        freed += sum(path.stat().st_size for path in files)
                        for path in files:
                            path.unlink()
        return freed

    def _fetch(self, group: str, make: Callable[[], Files], names: tuple[str, ...]) -> Files:
        if self.directory is None:
            with _MEMORY_LOCK:
                return _MEMORY.get(group) or _MEMORY.setdefault(group, make())
        directory = self.directory / group
        try:
            _make_on_disk(directory, make)
            os.utime(directory / _COMPLETE)
            return {name: (directory / name).read_bytes() for name in names}
        except OSError as error:
            raise EvidenceError(
                f"the test PKI in {directory} cannot be used: {error}; "
                "name a writable directory, or remove the damaged one"
            ) from error


def _make_on_disk(directory: Path, make: Callable[[], Files]) -> None:
    complete = directory / _COMPLETE
    if complete.exists():
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(directory / _LOCK, timeout=_LOCK_SECONDS):
        if not complete.exists():
            for name, content in make().items():
                _write(directory / name, content)
            _write(complete, b"")


def _write(path: Path, content: bytes) -> None:
    """Write ``path`` atomically: readers never see a part of it, even if this process dies."""
    handle, temporary = mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
