# SPDX-License-Identifier: MIT
"""A directory of evidence as a zip archive, to send it from a worker to the client."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path

from harness.errors import HarnessError

__all__ = ["pack", "unpack"]

_MAX_FILES = 4096
_MAX_BYTES = 256 << 20


def pack(directory: Path) -> bytes:
    """Return the files below ``directory`` as a zip archive; the rest of too many is left out."""
    buffer, left = io.BytesIO(), _MAX_BYTES
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        for path in files[:_MAX_FILES]:
            left -= path.stat().st_size
            if left < 0:
                break
            archive.write(path, path.relative_to(directory))
    return buffer.getvalue()


def unpack(data: bytes, directory: Path) -> None:
    """Extract an archive of :func:`pack`; nothing is written outside ``directory``.

    Raises :class:`HarnessError` when it is damaged, too large, or cannot be written.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            size = sum(entry.file_size for entry in entries)
            if len(entries) > _MAX_FILES or size > _MAX_BYTES:
                raise HarnessError(
                    f"a worker's evidence is too large: {len(entries)} files, {size} bytes"
                )
            for entry in entries:
                target = directory / entry.filename
                if not target.resolve().is_relative_to(directory.resolve()):
                    raise HarnessError(
                        f"a worker's evidence has an invalid file name: {entry.filename!r}"
                    )
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise HarnessError(f"a worker's evidence cannot be extracted: {error}") from error
