# SPDX-License-Identifier: MIT
"""UNIX sockets in a directory whose path may be long.

The address of a socket has at most 107 bytes (unix(7)), and ``TMPDIR`` may be longer. The entry
of the open directory in /proc/self/fd is a short path to it.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["connect", "listen"]


def listen(path: Path) -> socket.socket:
    """A socket that listens at ``path``; a child process may inherit it."""
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
    """A socket that is connected to the listener at ``path``."""
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
