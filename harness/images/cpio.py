# SPDX-License-Identifier: MIT
"""Writes reproducible cpio archives in the "newc" format that kernels unpack.

Format: Documentation/driver-api/early-userspace/buffer-format.rst. Every time is 0, every owner is
root, and inode numbers count from 1, so that the same tree gives the same bytes.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Node", "device", "directory", "file", "newc", "symlink"]

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


@dataclass(frozen=True)
class Node:
    """One member of an archive.

    ``path`` has no leading slash, ``mode`` includes the type bits, ``rdev`` is the device number.
    """

    path: str
    mode: int
    data: bytes = b""
    rdev: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, mode: int = 0o644) -> Node:
    """Make a regular file."""
    return Node(path, stat.S_IFREG | mode, data)


def directory(path: str, mode: int = 0o755) -> Node:
    """Make a directory."""
    return Node(path, stat.S_IFDIR | mode)


def symlink(path: str, target: str) -> Node:
    """Make a symbolic link."""
    return Node(path, stat.S_IFLNK | 0o777, target.encode())


def device(path: str, major: int, minor: int, mode: int = 0o600) -> Node:
    """Make a character device."""
    return Node(path, stat.S_IFCHR | mode, rdev=(major, minor))


def newc(nodes: Iterable[Node]) -> bytes:
    """Return the archive of ``nodes``, sorted by path, so that directories precede their files."""
    members = sorted(nodes, key=lambda node: node.path)
    chunks = [_member(number, node) for number, node in enumerate(members, 1)]
    return b"".join([*chunks, _member(0, Node(_TRAILER, 0))])


def _member(number: int, node: Node) -> bytes:
    name = node.path.encode() + b"\0"
    links = 1 if not stat.S_ISDIR(node.mode) else 2
    fields = (number, node.mode, 0, 0, links, 0, len(node.data), 0, 0, *node.rdev, len(name), 0)
    head = _MAGIC + b"".join(b"%08X" % field for field in fields) + name
    return _padded(head) + _padded(node.data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
