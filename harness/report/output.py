# SPDX-License-Identifier: MIT
"""Writes files that readers see whole."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from harness.errors import HostError

__all__ = ["STANDARD_OUTPUT", "write_atomically"]

STANDARD_OUTPUT = Path("-")
"""The name of an output file that stands for the standard output."""


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file in one step: a reader sees the old content or the new one.

    A link, and what is not a regular file (a pipe, ``/dev/stdout``), is written to, not replaced.
    ``-`` is the standard output.
    Raises :class:`HostError` if the file cannot be written.
    """
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.tmp")
    try:
        if path == STANDARD_OUTPUT:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            return
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise HostError(
            f"cannot write {path}: {error.strerror or error}",
            hint="check that the directory is writable and the disk is not full",
        ) from error
