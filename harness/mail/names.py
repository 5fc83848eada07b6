# SPDX-License-Identifier: MIT
"""File names of a patch: unquoted, without prefix, and refused unless they are harmless."""

from __future__ import annotations

import re

from harness.errors import UsageError

__all__ = ["check_name", "printable_name", "split_prefix", "stripped", "unquote"]

_TOP = (
    *("Documentation", "LICENSES", "arch", "block", "certs", "crypto", "drivers", "fs", "include"),
    *("init", "io_uring", "ipc", "kernel", "lib", "mm", "net", "rust", "samples", "scripts"),
    *("security", "sound", "tools", "usr", "virt"),
)
"""The directories at the top of the kernel's tree."""

# Names reach git, make and a shell's history; the kernel's own names need no other characters.
_COMPONENT = re.compile(r"[A-Za-z0-9_.,+=@~%:#-]{1,255}")
_MAX_NAME = 1000
_ESCAPES = {"n": 10, "t": 9, "r": 13, "a": 7, "b": 8, "f": 12, "v": 11, '"': 34, "\\": 92}
_QUOTED = re.compile(r'\\([0-3][0-7]{2}|[ntrabfv"\\])')


def unquote(name: str) -> str:
    r"""Undo git's quoting in ``"a/na\303\251me"``; any other name is returned as it is."""
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name
    raw = name[1:-1].encode("utf-8", "surrogateescape").decode("latin-1")
    raw = _QUOTED.sub(lambda found: chr(_ESCAPES.get(found[1]) or int(found[1], 8)), raw)
    return raw.encode("latin-1").decode("utf-8", "surrogateescape")


def split_prefix(old: str, new: str) -> tuple[str, str]:
    """Remove the prefix of both names of one file; an empty name stays empty.

    A prefix is one letter (``a/``), a directory that differs between the names (``linux.orig/``),
    or one above a directory of the kernel's tree.
    """
    old, new = _without_prefix(old, new)
    if all(_is_above_the_kernel(name) for name in (old, new) if name):
        return stripped(old), stripped(new)
    return old, new


def _without_prefix(old: str, new: str) -> tuple[str, str]:
    names = [name for name in (old, new) if name]
    firsts = {name.split("/")[0] for name in names}
    prefixed = all("/" in name for name in names) and (
        len(firsts) == 2 or any(len(first) == 1 for first in firsts)
    )
    return (stripped(old), stripped(new)) if prefixed else (old, new)


def stripped(name: str) -> str:
    """Remove the first directory of a name, if it has any."""
    return name.partition("/")[2] if "/" in name else name


def _is_above_the_kernel(name: str) -> bool:
    first, second, *_ = [*name.split("/"), ""]
    return first not in _TOP and second in _TOP


def check_name(name: str) -> str:
    """Return the name; raises :class:`UsageError` when it may do harm outside of a tree."""
    parts = name.split("/")
    good = (
        0 < len(name) <= _MAX_NAME
        and not name.startswith("-")
        and all(_COMPONENT.fullmatch(part) for part in parts)
        and not any(part.lower() in (".", "..", ".git") for part in parts)
    )
    if not good:
        raise UsageError(
            f"the patch names a file that is refused: {printable_name(name)}",
            hint="a name is relative to the kernel's tree, and has letters, digits and _.,+=@~%:#-",
        )
    return name


def printable_name(name: str) -> str:
    """The name in ASCII, with escapes, in quotes."""
    return ascii(name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}...")
