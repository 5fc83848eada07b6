# SPDX-License-Identifier: MIT
"""Finds the merged implementation in the files of a kernel tree, and writes its Kbuild file.

The tree's Makefile says what the module consists of, so that a patch can add, rename and remove
files, and rename the module. It is read, not run: a Makefile can start programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname, join, normpath, relpath

__all__ = ["CORE_DIRECTORY", "CORE_SYMBOL", "INCLUDE", "Core", "core_of"]

CORE_DIRECTORY = "drivers/virt/coco"
"""The directory of the merged implementation; since 6.16 it is in ``guest`` below."""
CORE_SYMBOL = "CONFIG_TSM_REPORTS"
"""The symbol that builds it."""
INCLUDE = "include"
"""The directory of the kernel's headers."""

_OBJECT = re.compile(rf"^obj-\$\({CORE_SYMBOL}\)[ \t]*[:+]?=[ \t]*([\w-]+)\.o[ \t]*$", re.MULTILINE)
_PART = re.compile(r"[\w-]+(?:/[\w-]+)*\.o")
_FLAGS = re.compile(r"^ccflags-y[ \t]*[:+]?=(.*)$", re.MULTILINE)
_FLAG = re.compile(r"-[DW][\w=-]+|-I\$\((?:src|srctree|obj)\)[\w./-]*")
_INCLUDED = re.compile(r'^\s*#\s*include\s+(?:"([\w./-]+)"|<(linux/tsm[\w-]*\.h)>)', re.MULTILINE)
# A variable that is never set must not look like one that is set to 0. With the configuration of
# most kernels it does: INIT_STACK_ALL_ZERO.
_KBUILD = """\
ccflags-y := $(call cc-option,-ftrivial-auto-var-init=pattern) {flags}
LINUXINCLUDE := -I$(src)/{include} $(LINUXINCLUDE)
obj-m := {module}.o
{parts}"""


@dataclass(frozen=True)
class Core:
    """The module of the merged implementation, and the ``directory`` with its Makefile.

    ``files`` are its C files and the headers that belong to it; ``parts`` are its objects, each
    with ``y`` or the symbol that it depends on, and none if the module is of one file of its name.
    """

    directory: str
    module: str
    files: frozenset[str]
    parts: tuple[tuple[str, str], ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def makefile(self) -> str:
        """The path of its Makefile."""
        return f"{self.directory}/Makefile"

    @property
    def kbuild(self) -> str:
        """The text of a Kbuild file that builds this module only."""
        parts = [f"{self.module}-{condition} += {name}\n" for condition, name in self.parts]
        return _KBUILD.format(
            flags=" ".join(self.flags),
            include=relpath(INCLUDE, self.directory),
            module=self.module,
            parts="".join(parts),
        )


def core_of(files: Mapping[str, str]) -> Core | None:
    """Find the module that ``CONFIG_TSM_REPORTS`` builds; None when no Makefile has it."""
    for name, text in sorted(files.items()):
        if not name.startswith(f"{CORE_DIRECTORY}/") or not name.endswith("/Makefile"):
            continue
        makefile = text.replace("\\\n", " ")
        if found := _OBJECT.search(makefile):
            directory, parts = dirname(name), tuple(_parts(found[1], makefile))
            objects = [part for _, part in parts] or [f"{found[1]}.o"]
            sources = {join(directory, f"{part.removesuffix('.o')}.c") for part in objects}
            owned = frozenset({*sources, *_headers(sources, files)} & set(files))
            flags = _FLAG.findall(" ".join(_FLAGS.findall(makefile)))
            return Core(directory, found[1], owned, parts, tuple(flags))
    return None


def _parts(module: str, makefile: str) -> Iterator[tuple[str, str]]:
    """The objects of a module, relative to its Makefile, each with its condition."""
    line = rf"^{re.escape(module)}-(y|objs|\$\(CONFIG_\w+\))[ \t]*[:+]?=(.*)$"
    for condition, value in re.findall(line, makefile, re.MULTILINE):
        for part in filter(_PART.fullmatch, value.split()):
            yield condition.replace("objs", "y"), part


def _headers(sources: Iterable[str], files: Mapping[str, str]) -> Iterator[str]:
    """The headers of the tree that sources include, directly or through another header."""
    pending, seen = list(sources), {*sources}
    while pending:
        name = pending.pop()
        for local, system in _INCLUDED.findall(files.get(name, "")):
            header = normpath(join(dirname(name), local)) if local else f"{INCLUDE}/{system}"
            if header in files and header not in seen:
                seen.add(header)
                pending.append(header)
                yield header
