# SPDX-License-Identifier: MIT
"""UNIX sockets in a directory of any depth.

A socket's address holds at most 107 bytes (unix(7)), and directories for temporary files can be
longer than that. An open directory's entry in /proc/self/fd is a short name for it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["connect", "listen"]


def listen(path: Path) -> socket.socket:
    """A socket that listens at ``path`` and that a child process may inherit."""
    listener = socket.socket(socket.AF_UNIX)
    try:
        with _short(path) as name:
            listener.bind(name)
        listener.listen(1)
        os.set_inheritable(listener.fileno(), True)
    except OSError:
        listener.close()
        raise
    return listener


def connect(path: Path) -> socket.socket:
    """A connection to whoever listens at ``path``."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _short(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
