# SPDX-License-Identifier: MIT
"""What the harness refuses to build: names that make would interpret, files of this host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from harness.errors import UsageError

__all__ = ["check_sources", "module_name"]

_MODULE = "tsm-user"
_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*")
_RESERVED = ("tsm-shims.h", "Kbuild", "Makefile")
_DIRECTIVE = re.compile(r'(?:^"|[\s;]|\\[nt])\s*\.(?:incbin|include)\b')
_INCLUDE = re.compile(r'^\s*#\s*(?:include|embed)\s*(?P<name><[^>\n]*>|"[^"\n]*")', re.MULTILINE)
_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"')
_JOINED = re.compile(r'(?<!\\)"\s*"')
_COMMENT = re.compile(r'/\*.*?\*/|//[^\n]*|("(?:\\.|[^"\\\n])*")', re.DOTALL)


def check_sources(files: Mapping[str, str], where: str) -> None:
    """Raise :class:`UsageError` for a file of ``where`` that cannot be built safely.

    Names of files reach make, which interprets blanks, ``$`` and colons. Assembler directives and
    absolute paths would put files of this host into the module, and so into recorded results.
    """
    for name, text in files.items():
        if not all(map(_NAME.fullmatch, PurePosixPath(name).parts)) or name in _RESERVED:
            raise UsageError(
                f"{where} has a file that cannot be built under its name: {name!a}",
                hint="use letters, digits and _ - . + for the names of files",
            )
        reason = next(_reasons(name, text), None)
        if reason is not None:
            raise UsageError(
                f"{name} in {where} {reason}",
                hint="put what it needs beside it: all files are built in one directory",
            )


def _reasons(name: str, text: str) -> Iterator[str]:
    code = _COMMENT.sub(lambda found: found[1] or " ", text)
    for found in _INCLUDE.finditer(code):
        path = found["name"][1:-1]
        if path.startswith("/") or _leaves(name, path):
            yield f"includes {path!a}, which is outside of the directory that is built"
    for literal in _LITERAL.findall(_JOINED.sub("", code)):
        if _DIRECTIVE.search(literal):
            yield f"reads a file of this host by an assembler directive: {literal!a}"


def _leaves(name: str, path: str) -> bool:
    """Whether the path leads out of the directory of the module."""
    depth = len(PurePosixPath(name).parent.parts)
    for part in path.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            return True
    return False


def module_name(files: Mapping[str, str]) -> str:
    """Return a name for the module: an object that consists of others cannot be one of them."""
    name = _MODULE
    while f"{name}.c" in files:
        name += "-module"
    return name
