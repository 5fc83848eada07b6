# SPDX-License-Identifier: MIT
"""The implementation that the kernel itself has, since 6.7."""

from __future__ import annotations

from dataclasses import dataclass

from harness.cache import Cache
from harness.implementations.model import (
    Build,
    Implementation,
    InterfaceKind,
    ModuleLoad,
    ModuleSource,
)
from harness.implementations.module_pair import DRIVER, ModulePair
from harness.kernels.model import Kernel
from harness.kernels.module_files import read_modules
from harness.progress import Progress

__all__ = ["MainlineImplementation", "mainline_module"]


@dataclass(frozen=True)
class MainlineImplementation:
    """The kernel's own ``tsm.c``, built in or a module; its sources are not available here."""

    name: str = "mainline"
    interface: InterfaceKind = "configfs"
    defects: tuple[str, ...] = ()
    verdicts_known: bool = True
    base: str = ""
    files: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> Implementation:
        """Itself."""
        return self

    def source(self) -> ModuleSource | None:
        """None: a packaged kernel comes without sources."""
        return None

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Collect the kernel's own modules and build the driver."""
        kernel.require("TSM_REPORTS", "the kernel's own implementation is not built")
        ready = {}
        if kernel.setting("TSM_REPORTS") == "m":
            name = mainline_module(kernel)
            # Its only dependency, configfs, is loaded at boot.
            ready[f"{name}.ko"] = read_modules(kernel, [name])[name]
        directory = ModulePair(kernel, ready=ready).build("the provider driver", cache, progress)
        return Build(
            tuple(ModuleLoad.of(directory / file) for file in ready),
            ModuleLoad.of(directory / DRIVER),
        )


def mainline_module(kernel: Kernel) -> str:
    """The name of the kernel's own module, which 6.16 renamed."""
    return "tsm_report" if kernel.version >= (6, 16) else "tsm"
