# SPDX-License-Identifier: MIT
"""The implementations of this project: modules with defects that parameters switch on."""

from __future__ import annotations

from dataclasses import dataclass

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.defects import OwnKind, defects_of
from harness.implementations.model import Build, Implementation, ModuleLoad, ModuleSource
from harness.implementations.module_pair import DRIVER, ModulePair, require_replaceable
from harness.kernels.model import Kernel
from harness.paths import guest_images_directory
from harness.progress import Progress

__all__ = ["OwnImplementation"]

_FIRST_CONFIGFS = (6, 11)  # configfs has callbacks for the visibility of attributes


@dataclass(frozen=True)
class OwnImplementation:
    """The module ``tsm-class`` or ``tsm-configfs`` with ``defects`` switched on."""

    name: str
    interface: OwnKind
    defects: tuple[str, ...] = ()
    verdicts_known: bool = True
    base: str = ""
    files: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> Implementation:
        """Itself."""
        return self

    def source(self) -> ModuleSource | None:
        """The sources with the defects as constants, so that the compiler knows them."""
        known = defects_of(self.interface)
        switches = [f"BIT(DEFECT_{known[name].identifier})" for name in self.defects]
        return self._source(f"ccflags-y += '-DTSM_DEFECTS=({'|'.join(switches) or 0})'\n")

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build the module and the driver; one build serves every choice of defects."""
        if self.interface == "configfs":
            _require_configfs(kernel)
        module = f"tsm-{self.interface}"
        pair = ModulePair(kernel, self._source())
        directory = pair.build(module, cache, progress)
        parameters = f"defects={','.join(self.defects)}" if self.defects else ""
        load = ModuleLoad.of(directory / f"{module}.ko", parameters)
        return Build((load,), ModuleLoad.of(directory / DRIVER))

    def _source(self, kbuild: str = "") -> ModuleSource:
        """The module's sources, with lines appended to its Kbuild file."""
        modules, name = guest_images_directory() / "modules", f"tsm-{self.interface}"
        paths = [path for part in (name, "common") for path in (modules / part).rglob("*")]
        files = {
            str(path.relative_to(modules)): path.read_text(encoding="utf-8")
            for path in sorted(paths)
            if path.is_file()
        }
        files[f"{name}/Kbuild"] += kbuild
        return ModuleSource(tuple(files.items()), name)


def _require_configfs(kernel: Kernel) -> None:
    """Raise :class:`UsageError` for a kernel that tsm-configfs cannot be loaded into."""
    if kernel.version < _FIRST_CONFIGFS:
        raise UsageError(
            f"tsm-configfs needs Linux 6.11, and this is {kernel.release}", hint="use debian:6.12"
        )
    require_replaceable(kernel, "tsm-configfs")
