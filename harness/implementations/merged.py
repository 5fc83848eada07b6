# SPDX-License-Identifier: MIT
"""The merged implementation as sources: which files of a kernel tree it is, and its build.

The tree's own Makefile says what the module consists of, so that a patch can add, rename and
remove files, and rename the module.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname, join, normpath, relpath

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.api import HEADER
from harness.implementations.model import (
    Build,
    Implementation,
    InterfaceKind,
    ModuleLoad,
    ModuleSource,
)
from harness.implementations.module_pair import (
    DRIVER,
    ModulePair,
    build_notes,
    require_replaceable,
)
from harness.kernels.model import Kernel
from harness.progress import Progress

__all__ = ["CORE_DIRECTORY", "Core", "MergedImplementation", "core_of"]

CORE_DIRECTORY = "drivers/virt/coco"
"""The directory of the merged implementation; since 6.16 it is in ``guest`` below."""

_SYMBOL = "CONFIG_TSM_REPORTS"
_INCLUDE = "include"
_OBJECT = re.compile(rf"^obj-\$\({_SYMBOL}\)\s*[:+]?=\s*([\w-]+)\.o\s*$", re.MULTILINE)
_BUILT = re.compile(r"^obj-\$\((CONFIG_\w+)\)", re.MULTILINE)
_INCLUDED = re.compile(r'^\s*#\s*include\s+(?:"([\w./-]+)"|<(linux/tsm[\w-]*\.h)>)', re.MULTILINE)
# A variable that is never set must not look like one that is set to 0. With the configuration of
# most kernels it does: INIT_STACK_ALL_ZERO.
_KBUILD = """\
{settings}
ccflags-y := $(call cc-option,-ftrivial-auto-var-init=pattern)
LINUXINCLUDE := -I$(src)/{include} $(LINUXINCLUDE)
include $(src)/Makefile
"""


@dataclass(frozen=True)
class Core:
    """The module of the merged implementation, and the ``directory`` with its Makefile.

    ``files`` are its C files and the headers that belong to it.
    """

    directory: str
    module: str
    files: frozenset[str]

    @property
    def makefile(self) -> str:
        """The path of its Makefile."""
        return f"{self.directory}/Makefile"


def core_of(files: Mapping[str, str]) -> Core | None:
    """Find the module that ``CONFIG_TSM_REPORTS`` builds; None when no Makefile has it."""
    for name, text in sorted(files.items()):
        if not name.startswith(f"{CORE_DIRECTORY}/") or not name.endswith("/Makefile"):
            continue
        if found := _OBJECT.search(text.replace("\\\n", " ")):
            directory = dirname(name)
            sources = {join(directory, part) for part in _parts(found[1], text)}
            owned = {*sources, *_headers(sources, files)} & set(files)
            return Core(directory, found[1], frozenset(owned))
    return None


def _parts(module: str, makefile: str) -> list[str]:
    """The C files of a module, relative to its Makefile."""
    listed = re.findall(
        rf"^{re.escape(module)}-(?:y|objs|\$\(\w+\))\s*[:+]?=(.*)",
        makefile.replace("\\\n", " "),
        re.MULTILINE,
    )
    objects = " ".join(listed).split() or [f"{module}.o"]
    return [f"{part.removesuffix('.o')}.c" for part in objects]


def _headers(sources: set[str], files: Mapping[str, str]) -> Iterator[str]:
    """The headers of the tree that sources include, directly or through another header."""
    pending, seen = list(sources), {*sources}
    while pending:
        name = pending.pop()
        for local, system in _INCLUDED.findall(files.get(name, "")):
            header = normpath(join(dirname(name), local)) if local else f"{_INCLUDE}/{system}"
            if header in files and header not in seen:
                seen.add(header)
                pending.append(header)
                yield header


@dataclass(frozen=True)
class MergedImplementation:
    """The merged implementation with its ``files`` in the layout of a kernel tree.

    It is built as a module of its own name, in place of the kernel's own. ``shims`` allows them,
    for sources of another kernel; ``notes`` are for the user.
    """

    name: str
    files: tuple[tuple[str, str], ...] = field(repr=False)
    base: str = ""
    notes: tuple[str, ...] = ()
    shims: bool = False
    interface: InterfaceKind = "configfs"
    defects: tuple[str, ...] = ()
    verdicts_known: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the sources."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()

    @classmethod
    def of(
        cls,
        name: str,
        files: Mapping[str, str],
        *,
        base: str = "",
        notes: tuple[str, ...] = (),
        shims: bool = False,
    ) -> MergedImplementation:
        """Take from a tree the files that the module consists of; raises :class:`UsageError`."""
        core = core_of(files)
        if core is None or HEADER not in core.files:
            missing = f"a Makefile that builds {_SYMBOL}" if core is None else HEADER
            raise UsageError(
                f"the sources of {name} have no implementation: they lack {missing}",
                hint="Linux has it since 6.7; name other sources with --base",
            )
        taken = sorted({*core.files, core.makefile})
        return cls(name, tuple((each, files[each]) for each in taken), base, notes, shims)

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> Implementation:
        """Itself."""
        return self

    def source(self) -> ModuleSource:
        """The sources with a Kbuild file, which builds this module only."""
        files = dict(self.files)
        core = core_of(files)
        assert core is not None
        others = {*_BUILT.findall(files[core.makefile])} - {_SYMBOL}
        settings = [f"{_SYMBOL} := m", *(f"{symbol} :=" for symbol in sorted(others))]
        kbuild = _KBUILD.format(
            settings="\n".join(settings), include=relpath(_INCLUDE, core.directory)
        )
        return ModuleSource(
            (*self.files, (f"{core.directory}/Kbuild", kbuild)), core.directory, _INCLUDE
        )

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build the module and its driver."""
        require_replaceable(kernel, self.name)
        core = core_of(dict(self.files))
        assert core is not None
        pair = ModulePair(kernel, self.source(), shims=self.shims)
        title = self.name.partition(",base=")[0].rpartition("/")[2]
        directory = pair.build(title, cache, progress)
        notes = (*self.notes, *build_notes(directory))
        load = ModuleLoad.of(directory / f"{core.module}.ko")
        return Build((load,), ModuleLoad.of(directory / DRIVER), notes)
