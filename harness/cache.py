# SPDX-License-Identifier: MIT
"""A cache of immutable directories, each made once under a key that says what it was made of.

Layout: ``ROOT/KIND/KEY/`` is an entry; ``ROOT/KIND/.partial-KEY.RANDOM/`` one being made, or left
by a maker that was killed; ``ROOT/locks/KIND-KEY.make`` is held exclusively while an entry is made,
``….use`` shared by every process that uses it, so that pruning leaves it alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import HostError

__all__ = ["Cache", "Entry"]

_PRUNE_HINT = "free some space (`tsm-harness images prune`), or move the cache with --cache"


@dataclass(frozen=True)
class Entry:
    """One directory of the cache: what it is, the space it takes, when it was last used."""

    kind: str
    key: str
    bytes: int
    used: datetime


class Cache:
    """The cache below ``root``, safe to share between processes.

    Methods raise :class:`HostError` when the disk is full or the directory cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._uses: dict[tuple[str, str], int] = {}
        with _explained(root):
            (root / "locks").mkdir(parents=True, exist_ok=True)

    def get_or_make(self, kind: str, key: str, make: Callable[[Path], None]) -> Path:
        """The entry of that key; when missing, ``make`` fills an empty directory for it.

        The directory appears whole or not at all, and only one process makes it.
        """
        entry = self.root / kind / key
        with _explained(self.root):
            self._use(kind, key)
            if not entry.is_dir():
                with self._locked(kind, key):
                    if not entry.is_dir():
                        self._make(entry, make)
            os.utime(entry)
        return entry

    def has(self, kind: str, key: str) -> bool:
        """Whether the entry is there now; another process may prune one that is not in use."""
        return (self.root / kind / key).is_dir()

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[Path]:
        """Hold ``ROOT/NAME/`` alone: a directory of something that keeps its own state there."""
        directory = self.root / name
        with _explained(self.root):
            directory.mkdir(parents=True, exist_ok=True)
            with self._lock_file(f"{name.replace('/', '-')}.state") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield directory

    def discard(self, kind: str, key: str) -> None:
        """Forget an entry that turned out to be damaged."""
        with _explained(self.root), self._locked(kind, key):
            self._remove(self.root / kind / key)

    def entries(self) -> list[Entry]:
        """Every entry, the most recently used first."""
        found = []
        for path in self.root.glob("*/*"):
            # Only what was made here has a lock; others keep their own things in the directory.
            if path.is_dir() and (self.root / "locks" / f"{_name(path)}.use").exists():
                used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                found.append(Entry(path.parent.name, path.name, _size(path), used))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def prune(self, *, older_than_days: float) -> int:
        """Remove what nobody uses and nobody used lately; returns the bytes freed."""
        limit = datetime.fromtimestamp(time.time() - older_than_days * 86400, UTC)
        freed = 0
        with _explained(self.root):
            for entry in self.entries():
                if entry.used < limit:
                    freed += self._prune_entry(entry)
            for partial in self.root.glob("*/.partial-*"):
                freed += self._prune_partial(partial)
        return freed

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        for stale in entry.parent.glob(f".partial-{entry.name}.*"):
            # Of a maker that was killed: the lock is ours now. What it had started may live on
            # and write there, which is why no two makers use the same directory.
            shutil.rmtree(stale, ignore_errors=True)
        partial = _partial(entry)
        partial.mkdir(parents=True)
        try:
            make(partial)
            _flush(partial)
            partial.rename(entry)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _remove(self, path: Path) -> None:
        if path.exists():
            # Renamed first, so that a half-removed entry is never mistaken for a whole one.
            doomed = _partial(path)
            path.rename(doomed)
            shutil.rmtree(doomed, ignore_errors=True)

    def _prune_partial(self, partial: Path) -> int:
        key = partial.name.removeprefix(".partial-").rpartition(".")[0]
        with self._lock_file(f"{partial.parent.name}-{key}.make") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            size = _size(partial)
            shutil.rmtree(partial, ignore_errors=True)
            return size

    def _use(self, kind: str, key: str) -> None:
        if (kind, key) not in self._uses:
            descriptor = self._open_lock(f"{kind}-{key}.use")
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            self._uses[kind, key] = descriptor  # held until the process ends

    def _prune_entry(self, entry: Entry) -> int:
        with self._lock_file(f"{entry.kind}-{entry.key}.use") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            # Still held: who asks for the entry meanwhile waits, then finds it gone and makes it.
            self._remove(self.root / entry.kind / entry.key)
            return entry.bytes

    @contextlib.contextmanager
    def _locked(self, kind: str, key: str) -> Iterator[None]:
        with self._lock_file(f"{kind}-{key}.make") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        descriptor = self._open_lock(name)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_lock(self, name: str) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        return os.open(self.root / "locks" / name, flags, 0o666)


@contextlib.contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostError(f"the disk is full: {root}", hint=_PRUNE_HINT) from error
        ours = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(root)
        if ours and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise HostError(
                f"the cache cannot be written: {error.filename or root}: {error.strerror}",
                hint="choose another with --cache or TSM_HARNESS_CACHE",
            ) from error
        raise


def _partial(entry: Path) -> Path:
    return entry.with_name(f".partial-{entry.name}.{secrets.token_hex(4)}")


def _flush(directory: Path) -> None:
    """Have what was written on disk before it gets its name: a crash must not leave empty files.

    One syncfs(2), which Python lacks; a call per file takes seconds for a kernel's headers.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(directory))
    finally:
        os.close(descriptor)


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


def _size(path: Path) -> int:
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512  # noqa: PTH118
    return total
