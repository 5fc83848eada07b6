# SPDX-License-Identifier: MIT
"""A reproducible writer of cpio archives in the "newc" form that kernels unpack.

Format: Documentation/driver-api/early-userspace/buffer-format.rst. Times are 0, owners root,
inode numbers count, so the same tree gives the same bytes.
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
    """One member: its path without a leading slash, mode with type bits, content, device number."""

    path: str
    mode: int
    data: bytes = b""
    rdev: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, mode: int = 0o644) -> Node:
    """A regular file."""
    return Node(path, stat.S_IFREG | mode, data)


def directory(path: str, mode: int = 0o755) -> Node:
    """A directory."""
    return Node(path, stat.S_IFDIR | mode)


def symlink(path: str, target: str) -> Node:
    """A symbolic link."""
    return Node(path, stat.S_IFLNK | 0o777, target.encode())


def device(path: str, major: int, minor: int, mode: int = 0o600) -> Node:
    """A character device."""
    return Node(path, stat.S_IFCHR | mode, rdev=(major, minor))


def newc(nodes: Iterable[Node]) -> bytes:
    """The archive of ``nodes``, each once, parents before what they contain."""
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
