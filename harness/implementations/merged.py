# SPDX-License-Identifier: MIT
"""The merged implementation, built from sources as a module in place of the kernel's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.api import HEADER
from harness.implementations.core import CORE_SYMBOL, INCLUDE, Core, core_of
from harness.implementations.mainline import MainlineImplementation
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
    exported_symbols,
    require_replaceable,
)
from harness.kernels.model import Kernel
from harness.progress import Progress

__all__ = ["MergedImplementation"]


@dataclass(frozen=True)
class MergedImplementation:
    """The merged implementation with its ``files`` in the layout of a kernel tree.

    It is built as a module of its own name, in place of the kernel's own. ``shims`` allows them,
    for sources of another kernel; ``notes`` are for the user. ``own_headers``: ``linux/tsm.h`` and
    what it includes are those of the kernel under test.
    """

    name: str
    files: tuple[tuple[str, str], ...] = field(repr=False)
    base: str = ""
    notes: tuple[str, ...] = ()
    shims: bool = False
    own_headers: bool = False
    interface: InterfaceKind = "configfs"
    defects: tuple[str, ...] = ()
    verdicts_known: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the sources."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()

    @classmethod
    def of(
        cls, name: str, files: Mapping[str, str], *, base: str = "", notes: tuple[str, ...] = ()
    ) -> MergedImplementation:
        """Take from a tree the files that the module consists of; raises :class:`UsageError`."""
        core = core_of(files)
        if core is None or HEADER not in core.files:
            missing = f"a Makefile that builds {CORE_SYMBOL}" if core is None else HEADER
            raise UsageError(
                f"the sources of {name} have no implementation: they lack {missing}",
                hint="Linux has it since 6.7; name other sources with --base",
            )
        taken = sorted({*core.files, core.makefile})
        return cls(name, tuple((each, files[each]) for each in taken), base, notes)

    @property
    def _core(self) -> Core:
        core = core_of(dict(self.files))
        assert core is not None
        return core

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> Implementation:
        """Itself."""
        return self

    def source(self) -> ModuleSource:
        """The sources with a Kbuild file, which builds this module only."""
        core = self._core
        kbuild = (f"{core.directory}/Kbuild", core.kbuild)
        return ModuleSource((*self.files, kbuild), core.directory, INCLUDE)

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build the module, and its driver where the one of the kernel's own does not fit."""
        require_replaceable(kernel, self.name)
        title = self.name.partition(",base=")[0].rpartition("/")[2]
        replaces = self.own_headers and kernel.setting(CORE_SYMBOL.removeprefix("CONFIG_")) == "m"
        pair = ModulePair(kernel, self.source(), shims=self.shims, driver=not replaces)
        directory = pair.build(title, cache, progress)
        if replaces and exported_symbols(kernel.build) >= exported_symbols(directory):
            driver = MainlineImplementation().build(kernel, cache, progress).driver
        else:
            with_driver = ModulePair(kernel, self.source(), shims=self.shims)
            directory = with_driver.build(title, cache, progress)
            driver = ModuleLoad.of(directory / DRIVER)
        load = ModuleLoad.of(directory / f"{self._core.module}.ko")
        return Build((load,), driver, (*self.notes, *build_notes(directory)))
