# SPDX-License-Identifier: MIT
"""Reads what a user names, within limits: a file, compressed or not, or standard input."""

from __future__ import annotations

import gzip
import lzma
import sys
import zlib
from io import BytesIO
from pathlib import Path

from harness.errors import UsageError

__all__ = ["MAX_BYTES", "expand", "read_file", "read_standard_input"]

MAX_BYTES = 32 << 20
"""The largest input, after decompression."""
_XZ_MEMORY = 128 << 20
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"


def read_file(path: Path) -> bytes:
    """Read a regular file; decompress it where it is ``.gz`` or ``.xz`` by its content."""
    try:
        if not path.exists():
            raise UsageError(f"no such file: {path}", hint="name a file with a patch or mails")
        if not path.is_file():
            raise UsageError(f"{path} is not a regular file", hint="give a file, or - for a pipe")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="make it readable"
        ) from error
    return expand(data, str(path))


def read_standard_input() -> bytes:
    """Read standard input to its end, as :func:`read_file` does."""
    return expand(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")


def expand(data: bytes, name: str) -> bytes:
    """Decompress bytes; raises :class:`UsageError` when they are damaged or too many."""
    try:
        if data.startswith(_GZIP):
            data = gzip.GzipFile(fileobj=BytesIO(data)).read(MAX_BYTES + 1)
        elif data.startswith(_XZ):
            data = _expand_xz(data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UsageError(
            f"{name} cannot be decompressed: {error}", hint="download it again, or decompress it"
        ) from error
    if len(data) > MAX_BYTES:
        raise UsageError(
            f"{name} is larger than {MAX_BYTES >> 20} MiB", hint="give the mails of one thread"
        )
    return data


def _expand_xz(data: bytes) -> bytes:
    result = b""
    while data.startswith(_XZ) and len(result) <= MAX_BYTES:
        stream = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
        result += stream.decompress(data, MAX_BYTES + 1 - len(result))
        if not stream.eof:
            if len(result) <= MAX_BYTES:
                raise EOFError("the file is cut off")
            break
        data = stream.unused_data.lstrip(b"\0")
    return result
