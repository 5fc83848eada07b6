# SPDX-License-Identifier: MIT
"""A directory of evidence as bytes, to be sent from a worker to whoever asked."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

from harness.errors import HarnessError

__all__ = ["pack", "unpack"]

_MOST_FILES = 4096
_MOST_BYTES = 256 << 20


def pack(directory: Path) -> bytes:
    """The files below ``directory`` as a zip archive; of too many, the first."""
    buffer, left = io.BytesIO(), _MOST_BYTES
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(one for one in directory.rglob("*") if one.is_file())[:_MOST_FILES]:
            left -= path.stat().st_size
            if left < 0:
                break
            archive.write(path, path.relative_to(directory))
    return buffer.getvalue()


def unpack(data: bytes, directory: Path) -> None:
    """The inverse; nothing is written outside ``directory``.

    Raises :class:`HarnessError` when it is no such archive, or one that would fill the disk.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_FILES or sum(one.file_size for one in entries) > _MOST_BYTES:
                raise HarnessError("a worker's evidence is larger than any worker sends")
            for entry in entries:
                target = directory / entry.filename
                if not target.resolve().is_relative_to(directory.resolve()):
                    raise HarnessError(f"a worker's evidence has the name {entry.filename!r}")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise HarnessError(f"a worker's evidence cannot be kept: {error}") from error
