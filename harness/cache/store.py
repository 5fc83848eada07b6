# SPDX-License-Identifier: MIT
"""A cache of immutable directories; the key of each is a digest of what it was made of.

Layout: ``ROOT/KIND/KEY/`` is an entry. ``ROOT/KIND/.partial-KEY.RANDOM/`` is an entry that a
process is making, or was making when it was killed. ``ROOT/locks/KIND-KEY.make`` is locked
exclusively while an entry is made. ``ROOT/locks/KIND-KEY.use`` is locked shared by every process
that uses the entry, so that pruning skips it. ``ROOT/seals/KIND-KEY.manifest`` and ``.stamp`` tell
whether the entry is as it was made: see :mod:`harness.cache.seal`.

A cache may stand in front of a *shared* one, which it only reads: entries that it lacks are taken
from there. A reader locks an entry of it against pruning, which needs no permission to write.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import logging
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.cache.seal import Seal
from harness.errors import HostError

__all__ = ["Cache", "Entry"]

_LOG = logging.getLogger(__name__)
_SHOWN = 12  # characters of a key
_PRUNE_HINT = "free some space (`tsm-harness images prune`), or move the cache with --cache"


@dataclass(frozen=True)
class Entry:
    """One directory of the cache, its disk usage, and the time of its last use."""

    kind: str
    key: str
    bytes: int
    used: datetime


class Cache:
    """The cache below ``root``; several processes may use it at once.

    Methods raise :class:`HostError` when the disk is full or the directory is not writable.
    """

    def __init__(self, root: Path, *, shared: Path | None = None, trusted: bool = False) -> None:
        self.root = root
        self.shared = shared if shared is not None and shared != root else None
        self._trusted = trusted
        self._uses: dict[Path, int] = {}
        self._seals: dict[Path, Seal] = {}
        with _host_errors(root):
            (root / "locks").mkdir(parents=True, exist_ok=True)
            (root / "seals").mkdir(exist_ok=True)

    def get_or_make(
        self, kind: str, key: str, make: Callable[[Path], None], *, private: bool = False
    ) -> Path:
        """Return the entry of that key; if it is missing, ``make`` fills an empty directory.

        Only one process makes an entry; it appears when it is complete. A damaged one is made
        again. A ``private`` entry is not taken from the shared cache.
        """
        entry = self.root / kind / key
        with _host_errors(self.root):
            self._use(self.root, kind, key)
            if self._seal(self.root, kind, key).problem() != "":
                if not private and (found := self._from_shared(kind, key)):
                    return found
                with self._locked(kind, key):
                    problem = self._seal(self.root, kind, key).problem()
                    if problem != "":
                        _warn(kind, key, problem, "it is made again")
                        self._make(entry, make)
            os.utime(entry)
        return entry

    def get(self, kind: str, key: str) -> Path | None:
        """Return the entry of that key, or None if it is missing; a damaged one is removed."""
        entry = self.root / kind / key
        with _host_errors(self.root):
            if os.path.lexists(entry):
                self._use(self.root, kind, key)
                problem = self._seal(self.root, kind, key).problem()
                if problem == "":
                    os.utime(entry)
                    return entry
                _warn(kind, key, problem, "it is removed")
                self.discard(kind, key)
            return self._from_shared(kind, key)

    def has(self, kind: str, key: str) -> bool:
        """Whether the entry exists now; another process may prune one that is not in use."""
        places = (self.root, self.shared) if self.shared else (self.root,)
        return any((place / kind / key).is_dir() for place in places)

    def verify(self, *, repair: bool = False) -> Iterator[tuple[Entry, str]]:
        """Read every entry; yield each with what is damaged in it, or an empty string.

        With ``repair`` the damaged ones are removed: their next use makes them again.
        """
        for entry in self.entries():
            problem = self._seal(self.root, entry.kind, entry.key).verify()
            if problem and repair:
                self.discard(entry.kind, entry.key)
            if problem is not None:
                yield entry, problem

    def _from_shared(self, kind: str, key: str) -> Path | None:
        if self.shared is None or not (self.shared / kind / key).is_dir():
            return None
        self._use(self.shared, kind, key)
        seal = self._seal(self.shared, kind, key)
        known = seal.known
        problem = seal.problem()
        if problem and not known:
            _warn(kind, key, f"{problem} in {self.shared}", "it is made in your own cache")
        return seal.entry if problem == "" else None

    def _seal(self, place: Path, kind: str, key: str) -> Seal:
        entry = place / kind / key
        if entry not in self._seals:
            name = f"{kind}-{key}"
            own = self.root / "seals" / (name if place == self.root else f"shared-{name}")
            self._seals[entry] = Seal(
                entry, place / "seals" / f"{name}.manifest", own, trusted=self._trusted
            )
        return self._seals[entry]

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[Path]:
        """Lock the mutable directory ``ROOT/NAME/`` against other processes."""
        directory = self.root / name
        with _host_errors(self.root):
            if directory.is_file():
                directory.unlink()
            directory.mkdir(parents=True, exist_ok=True)
            with self._lock_file(f"{name.replace('/', '-')}.state") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield directory

    def discard(self, kind: str, key: str) -> None:
        """Remove a damaged entry, so that the next use makes it again."""
        with _host_errors(self.root), self._locked(kind, key):
            self._seal(self.root, kind, key).remove()
            self._remove(self.root / kind / key)

    def entries(self) -> list[Entry]:
        """Return every entry, the most recently used first."""
        found = []
        for path in self.root.glob("*/*"):
            # Entries have a lock for users; mutable directories and the PKI do not.
            if path.is_dir() and (self.root / "locks" / f"{_name(path)}.use").exists():
                used = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                found.append(Entry(path.parent.name, path.name, _size(path), used))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def prune(self, *, older_than_days: float) -> int:
        """Remove entries not used now nor since ``older_than_days``; returns the bytes freed."""
        limit = datetime.fromtimestamp(time.time() - older_than_days * 86400, UTC)
        freed = 0
        with _host_errors(self.root):
            for entry in self.entries():
                if entry.used < limit:
                    freed += self._prune_entry(entry)
            for partial in self.root.glob("*/.partial-*"):
                freed += self._prune_partial(partial)
        return freed

    def limit(self, kind: str, most_bytes: int) -> None:
        """Remove the entries of a kind that were not used for longest, except those in use.

        The rest takes at most ``most_bytes``, unless more is in use.
        """
        with _host_errors(self.root):
            entries = [entry for entry in self.entries() if entry.kind == kind]
            total = sum(entry.bytes for entry in entries)
            for entry in reversed(entries):
                if total <= most_bytes:
                    return
                total -= self._prune_entry(entry)

    def _make(self, entry: Path, make: Callable[[Path], None]) -> None:
        for stale in entry.parent.glob(f".partial-{entry.name}.*"):
            # Left by a killed process, since the lock is ours now. Its children may still write
            # there, so every attempt has a directory of its own.
            shutil.rmtree(stale, ignore_errors=True)
        partial = _partial(entry)
        partial.mkdir(parents=True)
        try:
            make(partial)
            _flush(partial)
            self._seal(self.root, entry.parent.name, entry.name).close(partial)
            self._remove(entry)  # a damaged one
            partial.rename(entry)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _remove(self, path: Path) -> None:
        if os.path.lexists(path):
            # Rename first, so that no process takes a partly removed entry for a complete one.
            removed = _partial(path)
            path.rename(removed)
            _remove_all(removed)

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

    def _use(self, place: Path, kind: str, key: str) -> None:
        entry = place / kind / key
        if entry in self._uses:
            return
        lock = place / "locks" / f"{kind}-{key}.use"
        if place == self.root:
            descriptor = self._open_lock(lock.name)
        else:
            try:  # flock(2) needs no permission to write
                descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        self._uses[entry] = descriptor  # the lock is held until the process ends

    def _prune_entry(self, entry: Entry) -> int:
        with self._lock_file(f"{entry.kind}-{entry.key}.use") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return 0
            # A process that wants the entry now waits for this lock, and then makes it again.
            self._seal(self.root, entry.kind, entry.key).remove()
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
def _host_errors(root: Path) -> Iterator[None]:
    """Turn a full disk, a limit and missing permissions below ``root`` into :class:`HostError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostError(f"the disk is full: {root}", hint=_PRUNE_HINT) from error
        if error.errno == errno.EFBIG:
            raise HostError(
                f"a file of {root} would be larger than this process may write (ulimit -f)",
                hint="run `ulimit -f unlimited` first; limits.conf(5) may set the limit",
            ) from error
        ours = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(root)
        if ours and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise HostError(
                f"the cache is not writable: {error.filename or root}: {error.strerror}",
                hint="set another directory with --cache or TSM_HARNESS_CACHE; a cache that others "
                "write can be read with --shared-cache",
            ) from error
        raise


def _warn(kind: str, key: str, problem: str | None, consequence: str) -> None:
    if problem:
        _LOG.warning(
            "tsm-harness: the cached %s %s is damaged (%s); %s",
            kind,
            key[:_SHOWN],
            problem,
            consequence,
        )


def _remove_all(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for directory, _, _ in os.walk(path):
            with contextlib.suppress(OSError):
                Path(directory).chmod(0o700)
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _partial(entry: Path) -> Path:
    return entry.with_name(f".partial-{entry.name}.{secrets.token_hex(4)}")


def _flush(directory: Path) -> None:
    """Write the files to disk before the entry gets its name: after a crash they would be empty.

    This is one syncfs(2), which Python lacks; an fsync(2) for each file of a kernel's headers takes
    seconds.
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
