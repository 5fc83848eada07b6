# SPDX-License-Identifier: MIT
"""Storage of test PKIs: in a directory that processes share, or in memory.

``cryptography`` cannot derive RSA keys and PSS signatures from a seed, so they are made once and
stored: evidence is the same byte for byte as long as the store is kept. The state of a store has
the files that were read from it, so that another machine can reproduce the evidence.

A group is a directory with its files and ``complete``, which has the digest of each. A group that
differs from it is made again. Of leaf certificates, the 256 that were used last are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
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
_OURS = (_COMPLETE, _LOCK)
_MAX_LEAVES = 256
_LOG = logging.getLogger(__name__)


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

    def get(
        self, group: str, make: Callable[[], Files], *names: str, signs: str = ""
    ) -> list[bytes]:
        """Return the files ``names`` of ``group``; ``make`` makes the group when it is missing.

        When the group is made, older groups whose names begin with ``signs`` are removed: another
        key has signed them. Raises EvidenceError when the directory cannot
        be used or lacks one of the files.
        """
        if group not in self._used:
            self._used[group] = self._fetch(group, make, names, signs)
        try:
            return [self._used[group][name] for name in names]
        except KeyError as missing:
            raise EvidenceError(f"the test PKI {group} has no {missing}") from None

    @staticmethod
    def prune(directory: Path, before: float, *, most: int | None = None) -> int:
        """Remove leaf certificates last used before ``before`` (Unix time); return bytes freed.

        At most ``most`` are left, if given. Authorities are kept, because verifiers may have pinned
        them.
        """
        freed = 0
        if not directory.is_dir():
            return freed
        with FileLock(directory / _LOCK, timeout=_LOCK_SECONDS):
            leaves = [path for path in directory.iterdir() if _is_leaf(path)]
            leaves.sort(key=_used_at, reverse=True)
            for position, group in enumerate(leaves):
                if _used_at(group) < before or (most is not None and position >= most):
                    freed += sum(path.stat().st_size for path in group.iterdir())
                    _remove(group)
        return freed

    @staticmethod
    def verify(directory: Path, *, repair: bool = False) -> dict[str, str]:
        """Return what is damaged, by group; with ``repair`` the group is removed."""
        groups = sorted(directory.iterdir()) if directory.is_dir() else []
        found = {group.name: _read(group)[1] for group in groups if group.name != _LOCK}
        damaged = {name: problem for name, problem in found.items() if problem}
        for name in damaged if repair else ():
            with FileLock(directory / _LOCK, timeout=_LOCK_SECONDS):
                _remove(directory / name)
        return damaged

    def _fetch(
        self, group: str, make: Callable[[], Files], names: tuple[str, ...], signs: str
    ) -> Files:
        if self.directory is None:
            with _MEMORY_LOCK:
                return _MEMORY.get(group) or _MEMORY.setdefault(group, make())
        directory = self.directory / group
        try:
            files, problem = _read(directory, names)
            if problem:
                return _make_on_disk(directory, make, names, signs)
            with contextlib.suppress(OSError):  # another process may prune it now
                _adopt(directory, files)
                os.utime(directory / _COMPLETE)
        except OSError as error:
            raise EvidenceError(
                f"the test PKI in {directory} cannot be used: {error}; "
                "name a writable directory, or remove the damaged one"
            ) from error
        return files


def _read(group: Path, names: Iterable[str] = ()) -> tuple[Files, str]:
    """Return the files of a group, and what is damaged in it, or an empty string."""
    try:
        digests = json.loads((group / _COMPLETE).read_bytes() or b"{}")
        wanted = digests or [each.name for each in group.iterdir() if each.name not in _OURS]
        files = {name: (group / name).read_bytes() for name in wanted}
        for name, content in files.items():
            if digests and hashlib.sha256(content).hexdigest() != digests[name]:
                return {}, f"{name} has other content"
    except (OSError, ValueError, TypeError, LookupError) as error:
        return {}, f"{getattr(error, 'strerror', None) or error}"
    missing = [name for name in names if name not in files]
    return files, f"{missing[0]} is missing" if missing else ""


def _adopt(group: Path, files: Files) -> None:
    """Write the digests of a group that an earlier version made."""
    if not (group / _COMPLETE).stat().st_size:
        _complete(group, files)


def _complete(group: Path, files: Files) -> None:
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    _write(group / _COMPLETE, json.dumps(digests).encode())


def _make_on_disk(
    group: Path, make: Callable[[], Files], names: tuple[str, ...], signs: str
) -> Files:
    """Make a group under the lock of its store, unless another process has just made it."""
    store = group.parent
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(store / _LOCK, timeout=_LOCK_SECONDS):
        existed = os.path.lexists(group)
        files, problem = _read(group, names)
        if not problem:
            return files
        if existed:
            _LOG.warning("the test PKI %s is damaged (%s); it is made again", group.name, problem)
        for other in [*store.iterdir()]:
            if other == group or (signs and other.name.startswith(signs)):
                _remove(other)
        files = make()
        group.mkdir(mode=0o700)
        for name, content in files.items():
            _write(group / name, content)
        _complete(group, files)
    if _KEY not in files:
        PkiStore.prune(store, 0.0, most=_MAX_LEAVES)
    return files


def _is_leaf(group: Path) -> bool:
    """Whether a group holds a certificate that signs nothing."""
    return group.is_dir() and (group / _COMPLETE).exists() and not (group / _KEY).exists()


def _used_at(group: Path) -> float:
    return (group / _COMPLETE).stat().st_mtime


def _remove(group: Path) -> None:
    """Remove a group: first ``complete``, so that a partly removed one is made again."""
    if group.is_dir() and not group.is_symlink():
        with contextlib.suppress(OSError):
            (group / _COMPLETE).unlink()
        shutil.rmtree(group)
    else:
        group.unlink()


def _write(path: Path, content: bytes) -> None:
    """Write ``path`` atomically: readers never see a part of it, even if this process dies."""
    handle, temporary = mkstemp(dir=path.parent, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(temporary).replace(path)
