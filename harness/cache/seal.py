# SPDX-License-Identifier: MIT
"""Notices a change of a directory since it was sealed, without reading it again each time.

The *manifest* of a directory has the type, size, permissions and content digest of everything in
it. The *stamp* has size, inode, mtime and ctime of everything in it, as one digest, and the boot
in which it was taken. A directory whose stamp is the same is not read again: whatever changes a
file through the file system sets its ctime, which no program can choose. So the stamp notices
writes, truncation, replaced and removed files, and permissions, also when mtime was set back.

The stamp does not notice a change below the file system: of the block device, or by a broken disk.
After each boot everything that is used is read once; ``tsm-harness images verify`` reads always. A
change in the same tick of the file system's clock as the stamp would keep the ctime: a stamp that
was taken within two seconds of the last change is not used.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

__all__ = [
    "Manifest",
    "Seal",
    "Stamp",
    "damage",
    "digest_sparse",
    "extents",
    "manifest_of",
    "stamp_of",
]

Manifest = dict[str, list[Any]]
"""By relative path: type (``f``, ``l``, ``d``), permissions, size, digest or target of the link."""

Stamp = dict[str, Any]
"""The boot, the digest of all stamps of files, and whether the last change was long enough ago."""

_NAME = attrgetter("name")
_BLOCK = 1 << 16
_SMALL = 1 << 20
_TYPES = {"f": stat.S_ISREG, "l": stat.S_ISLNK, "d": stat.S_ISDIR}
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system in use


class Seal:
    """The manifest and the stamp of ``entry``.

    ``manifest`` is the file of the manifest, and ``own`` the path of this cache's files without
    their suffix: the stamp is there, and the manifest of an entry that was made without one.
    ``trusted`` omits every comparison: for a process whose parent has just made it.
    """

    def __init__(self, entry: Path, manifest: Path, own: Path, *, trusted: bool) -> None:
        self.entry = entry
        self._manifests = list(dict.fromkeys((manifest, own.with_name(f"{own.name}.manifest"))))
        self._stamp = own.with_name(f"{own.name}.stamp")
        self._trusted = trusted
        self._problem: str | None = None

    @property
    def known(self) -> bool:
        """Whether :meth:`problem` has compared the entry already."""
        return self._problem is not None

    def problem(self) -> str | None:
        """Return what is damaged, an empty string for an entry as it was made, None for no entry.

        An entry that was found good is not compared again by this process.
        """
        if not os.path.lexists(self.entry):
            self._problem = None
        elif self._trusted:
            self._problem = ""
        elif self._problem != "":
            self._problem = self._compare(read=False)
        return self._problem

    def verify(self) -> str | None:
        """Like :meth:`problem`, but reads every file."""
        self._problem = self._compare(read=True) if os.path.lexists(self.entry) else None
        return self._problem

    def close(self, directory: Path) -> None:
        """Seal ``directory``, which is about to get the name of the entry."""
        stamp = stamp_of(directory)
        _write_json(self._manifests[0], manifest_of(directory))
        _write_json(self._stamp, self._with_manifest(stamp))
        self._problem = ""

    def remove(self) -> None:
        """Remove the files of the seal."""
        self._problem = None
        for path in (*self._manifests, self._stamp):
            with contextlib.suppress(OSError):
                path.unlink()

    def _compare(self, *, read: bool) -> str:
        try:
            stamp = stamp_of(self.entry)  # first: a change from now on differs from it
            manifest = next((path for path in self._manifests if path.exists()), None)
            if manifest is None:  # an earlier version made the entry
                _write_json(self._manifests[-1], manifest_of(self.entry))
            elif (read or not self._has(stamp)) and (
                problem := damage(self.entry, _read_json(manifest))
            ):
                return problem
        except OSError as error:
            name = Path(os.fsdecode(error.filename)).name if error.filename else "it"
            return f"{name} cannot be read: {error.strerror}"
        with contextlib.suppress(OSError):
            _write_json(self._stamp, self._with_manifest(stamp))
        return ""

    def _has(self, stamp: Stamp) -> bool:
        known = _read_json(self._stamp)
        return bool(known.get("settled")) and known == self._with_manifest(stamp)

    def _with_manifest(self, stamp: Stamp) -> Stamp:
        """Return the stamp of the entry with that of its manifest."""
        for path in self._manifests:
            with contextlib.suppress(OSError):
                return stamp | {"manifest": _stamp_fields(path.stat())}
        return stamp


def manifest_of(directory: Path) -> Manifest:
    """Read a whole directory; raises OSError for a file that cannot be read."""
    return {name: _described(Path(path), found) for name, path, found in _walk(directory)}


def damage(directory: Path, manifest: Mapping[str, list[Any]]) -> str:
    """Return the first difference between a directory and its manifest, or an empty string."""
    if not directory.is_dir() or directory.is_symlink():
        return "it is no directory"
    found = {name: (Path(path), status) for name, path, status in _walk(directory)}
    for name, wanted in manifest.items():
        if name not in found:
            return f"{name} is missing"
        if problem := _difference(*found[name], wanted):
            return f"{name} {problem}"
    added = sorted(found.keys() - manifest.keys())
    return f"{added[0]} was added" if added else ""


def stamp_of(directory: Path) -> Stamp:
    """Return the stamp of a directory; raises OSError when it cannot be listed."""
    digest, newest = hashlib.blake2b(digest_size=32), 0
    for name, _, found in _walk(directory):
        fields = [found.st_mode]
        if not stat.S_ISDIR(found.st_mode):  # those change when an entry in them is removed
            newest = max(newest, found.st_ctime_ns)
            fields += _stamp_fields(found)
        digest.update(f"{name}\0{fields}\n".encode("utf-8", "surrogateescape"))
    return {
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "digest": digest.hexdigest(),
        "settled": newest + _SETTLED_NS < time.time_ns(),
    }


def digest_sparse(path: Path) -> str:
    """A digest of a sparse file's content; reads only allocated blocks.

    Blocks of zeroes are left out, so that the digest does not depend on where the holes are: a
    copy, or a file system that allocates on access, may have other holes than QEMU made.
    """
    digest = hashlib.blake2b(digest_size=32)
    size, done = path.stat().st_size, 0
    digest.update(size.to_bytes(8, "little"))
    with path.open("rb") as stream:
        for start, end in extents(stream.fileno(), size):
            offset = max(done, start - start % _BLOCK)
            stream.seek(offset)
            while offset < end and (block := stream.read(_BLOCK)):
                if block != bytes(len(block)):
                    digest.update(offset.to_bytes(8, "little"))
                    digest.update(block)
                offset += len(block)
            done = max(done, offset)
    return digest.hexdigest()


def extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield start and end of each part of an open file that is allocated."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        offset = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, offset


def _stamp_fields(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file; empty for anything else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    """Replace a file in one step; nothing is written when it has this content already."""
    if _read_json(path) == value:
        return
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(value), encoding="ascii")
    if path.is_dir():
        shutil.rmtree(path)
    temporary.replace(path)


def _walk(directory: Path) -> Iterator[tuple[str, str, os.stat_result]]:
    """Yield relative name, path and status of everything below ``directory``, in a fixed order."""
    pending = [(str(directory), "")]
    while pending:
        place, prefix = pending.pop()
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=_NAME):
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield prefix + entry.name, entry.path, found
                if stat.S_ISDIR(found.st_mode):
                    pending.append((entry.path, f"{prefix}{entry.name}/"))


def _described(path: Path, found: os.stat_result) -> list[Any]:
    permissions = stat.S_IMODE(found.st_mode)
    if stat.S_ISDIR(found.st_mode):
        return ["d", permissions, 0, ""]
    if stat.S_ISLNK(found.st_mode):
        return ["l", 0, 0, str(path.readlink())]
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a file, a link or a directory", str(path))
    small = found.st_size <= _SMALL
    digest = hashlib.blake2b(path.read_bytes()).hexdigest() if small else digest_sparse(path)
    return ["f", permissions, found.st_size, digest]


def _difference(path: Path, found: os.stat_result, wanted: list[Any]) -> str:
    """Say how a file differs from its line of the manifest; read it only if nothing else does."""
    try:
        kind, permissions, size, digest = wanted
        given = stat.S_IMODE(found.st_mode)
        # A copy of the cache may have taken permissions of others away.
        lacking, added = permissions & stat.S_IRWXU & ~given, given & ~permissions
        checks = {
            "is of another type": not _TYPES[kind](found.st_mode),
            f"has the permissions {given:o}": kind != "l" and (lacking or added),
            f"has {found.st_size} bytes, not {size}": kind == "f" and found.st_size != size,
        }
        if problems := [text for text, differs in checks.items() if differs]:
            return problems[0]
        return "" if _described(path, found)[3] == digest else "has other content"
    except (OSError, ValueError, TypeError, LookupError) as error:
        return f"cannot be compared: {getattr(error, 'strerror', None) or repr(error)}"
