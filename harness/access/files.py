# SPDX-License-Identifier: MIT
"""Copies files and directories between the host and a guest, over the agent port.

An actor makes the system calls in the guest: the port carries several times what an encrypted
connection to an emulated processor does.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.errors import GuestCallError, UsageError
from harness.guest.actor import Actor
from harness.guest.call import checked
from tsmw.ops import Op, OpResult

__all__ = ["Advance", "bytes_of", "pull", "push"]

_BLOCK = 30000  # bytes of one write(2), and of one read(2); a frame has 64 KiB
_READS = 2
_MAX_BYTES = 1 << 30
_MAX_FILES = 10_000
_MAX_DEPTH = 30


Advance = Callable[[int], None]
"""Called with the number of bytes that were copied since the last call."""


def push(
    actor: Actor, local: Path, remote: str, advance: Advance = lambda _: None
) -> dict[str, int]:
    """Copy a file, or a directory with all that is in it, into the guest.

    Returns the permission bits that the files and directories have on the host, by their paths in
    the guest. A symbolic link is copied as the file that it names. Raises :class:`UsageError` for
    what cannot be read here or written there.
    """
    modes: dict[str, int] = {}
    for path, target in _walk(local, remote):
        try:
            mode = path.stat().st_mode
            modes[target] = stat.S_IMODE(mode) & 0o777
            if stat.S_ISDIR(mode):
                _make_directory(actor, target)
            elif stat.S_ISREG(mode):
                _push_file(actor, path, target, advance)
            else:
                raise UsageError(f"cannot push {path}: it is no file and no directory")
        except GuestCallError as error:
            raise UsageError(f"cannot write {target} in the guest: {error.strerror}") from error
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return modes


def bytes_of(local: Path) -> int:
    """The number of bytes that a push of a file or directory copies, as far as it can be read."""
    total = 0
    for path, _ in _walk(local, ""):
        with contextlib.suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def _walk(local: Path, remote: str) -> Iterator[tuple[Path, str]]:
    """Yield what to copy, directories before their content, with its path in the guest."""
    yield local, remote
    if not local.is_dir():
        return
    for directory, subdirectories, files in os.walk(local):
        subdirectories.sort()
        base = Path(directory)
        for name in [*subdirectories, *sorted(files)]:
            path = base / name
            if path.is_symlink() and path.is_dir():
                raise UsageError(
                    f"cannot push {path}: it is a symbolic link to a directory",
                    hint="push the directory itself",
                )
            yield path, f"{remote.rstrip('/')}/{path.relative_to(local)}"


def _make_directory(actor: Actor, path: str) -> None:
    try:
        actor.mkdir(path)
    except GuestCallError:
        if not stat.S_ISDIR(actor.stat(path).mode):
            raise


def _push_file(actor: Actor, path: Path, remote: str, advance: Advance) -> None:
    with path.open("rb") as file:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        opened = actor.run(Op.open(remote, flags, 0o600), f"open of {remote}").ret
        try:
            while data := file.read(_BLOCK):
                while data:
                    written = actor.run(Op.write(data, opened), f"write to {remote}").ret
                    advance(written)
                    data = data[written:]
        finally:
            actor.run(Op.close(opened), f"close of {remote}")


def pull(
    actor: Actor,
    remote: str,
    local: Path,
    limit: int = _MAX_BYTES,
    advance: Advance = lambda _: None,
) -> None:
    """Copy a file, or a directory with all that is in it, out of the guest.

    A directory is copied to a path that does not exist yet. At most ``limit`` bytes are copied.
    Raises :class:`UsageError` for more, and for what cannot be read there or written here.
    """
    try:
        copy = _Pull(actor, limit, advance)
        if not stat.S_ISDIR(_guest_mode(actor, remote)):
            copy.file(remote, local)
            return
        local.mkdir()
        copy.directory(remote, local, 0)
    except FileExistsError as error:
        raise UsageError(f"{local} exists already", hint="name a new directory") from error
    except OSError as error:
        raise UsageError(f"cannot write {local}: {error.strerror}") from error


def _guest_mode(actor: Actor, remote: str) -> int:
    try:
        return actor.stat(remote).mode
    except GuestCallError as error:
        raise UsageError(f"cannot read {remote} in the guest: {error.strerror}") from error


class _Pull:
    """One copy out of a guest, which may lie about names, sizes and numbers of its files."""

    def __init__(self, actor: Actor, limit: int, advance: Advance) -> None:
        self._actor = actor
        self._advance = advance
        self._limit = self._left = limit
        self._files = 0

    def directory(self, remote: str, local: Path, depth: int) -> None:
        try:
            names = self._actor.list(remote)
        except GuestCallError as error:
            raise UsageError(f"cannot read {remote} in the guest: {error.strerror}") from error
        for name in names:
            self._files += 1
            if "/" in name or depth > _MAX_DEPTH or self._files > _MAX_FILES:
                raise UsageError(
                    f"{remote} in the guest has more than {_MAX_FILES} files, is deeper than "
                    f"{_MAX_DEPTH} directories, or has a file name with a slash"
                )
            source, target = f"{remote.rstrip('/')}/{name}", local / name
            mode = _guest_mode(self._actor, source)
            if stat.S_ISDIR(mode):
                target.mkdir()
                self.directory(source, target, depth + 1)
            elif stat.S_ISREG(mode):
                self.file(source, target)

    def file(self, remote: str, local: Path) -> None:
        """Write a file of its own first, so that ``local`` is never a part of the file."""
        directory = local.absolute().parent
        descriptor, name = tempfile.mkstemp(dir=directory, prefix=f".{local.name[:100]}.")
        partial = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                for block in self._blocks(remote):
                    target.write(block)
                umask = os.umask(0o077)
                os.umask(umask)
                os.fchmod(target.fileno(), 0o666 & ~umask)
            partial.replace(local)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise

    def _blocks(self, remote: str) -> Iterator[bytes]:
        actor, what = self._actor, f"read of {remote}"

        def reads(opened: int) -> list[Op]:
            return [Op.read(_BLOCK, opened)] * _READS

        def join(results: Sequence[OpResult]) -> bytes:
            return b"".join(result.data for result in checked(results, what))

        try:
            opened = actor.run(Op.open(remote), f"open of {remote}").ret
            try:
                while block := actor.start(reads(opened), join, what).result():
                    self._left -= len(block)
                    if self._left < 0:
                        raise UsageError(
                            f"{remote} in the guest is longer than {self._limit} bytes"
                        )
                    self._advance(len(block))
                    yield block
            finally:
                actor.run(Op.close(opened), f"close of {remote}")
        except GuestCallError as error:
            raise UsageError(f"cannot read {remote} in the guest: {error.strerror}") from error
