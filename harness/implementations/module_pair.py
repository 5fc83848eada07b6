# SPDX-License-Identifier: MIT
"""Builds the module of an implementation, and the provider driver ``tsm-sim`` for it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.cache import Cache
from harness.errors import BuildError, UsageError
from harness.implementations.model import ModuleSource
from harness.implementations.registration import require_registration
from harness.implementations.shims import build_with_shims
from harness.kernels.model import Kernel
from harness.kernels.module_build import (
    build_module,
    module_compiler,
    reproducible_flags,
    strip_modules,
)
from harness.kernels.toolchain import build_digest, compiler_version
from harness.paths import guest_images_directory
from harness.progress import Progress

__all__ = ["DRIVER", "ModulePair", "build_notes", "exported_symbols", "require_replaceable"]

DRIVER = "tsm-sim.ko"
"""The file of the provider driver."""

_LAYOUT = "4"
_NOTES = "notes.json"
_SYMBOLS = "Module.symvers"
_MAX_WARNINGS = 20
_WARNING = re.compile(
    r"^(?:\S*/)?(?P<where>[\w.+-]+:\d+):\d+: warning: (?P<text>.*)|^WARNING: (?P<modpost>.*)"
)
_TREE = "implementation"  # the sources, below the directory of a build


@dataclass(frozen=True)
class ModulePair:
    """An implementation's module and its driver, to be built for ``kernel``.

    Without ``source`` the implementation is the kernel's own: ``ready`` are its module files, and
    the driver is built against the kernel's header. ``shims`` allows them for the source. Without
    ``driver`` none is built.
    """

    kernel: Kernel
    source: ModuleSource | None = None
    ready: Mapping[str, bytes] = field(default_factory=dict)
    shims: bool = False
    driver: bool = True

    def build(self, name: str, cache: Cache, progress: Progress) -> Path:
        """The directory with the stripped modules, from the cache when it is there.

        Raises :class:`BuildError` with the compiler's errors.
        """

        def make(directory: Path) -> None:
            with progress.step(f"building {name} for {self.kernel.release}"):
                self._make(directory)

        return cache.get_or_make("modules", self._key(), make)

    def _key(self) -> str:
        images = guest_images_directory()
        driver = [path for path in (images / "modules" / "tsm-sim").rglob("*") if path.is_file()]
        compiler = compiler_version(module_compiler(self.kernel))
        ready = {name: hashlib.sha256(data).hexdigest() for name, data in self.ready.items()}
        inputs = [_LAYOUT, self.kernel.digest, compiler, str(self.shims)]
        inputs += [] if self.driver else ["without a driver"]
        source = self.source.digest if self.source else ""
        return build_digest(
            images, [*driver, images / "include" / "tsmw.h"], *inputs, source, repr(ready)
        )

    def _make(self, directory: Path) -> None:
        work = directory / "build"
        flags = reproducible_flags(self.kernel, work)
        notes: list[str] = []
        module = None
        if self.source:
            module = self.source.write(work / _TREE)
            notes = self._build_module(work, module, flags)
            include = self.source.include_below(work / _TREE)
            require_registration(module, include, self.kernel)
            for file in (*module.glob("*.ko"), module / _SYMBOLS):
                shutil.copy(file, directory)
        if self.driver:
            self._build_driver(work, module, flags)
            shutil.copy(work / "modules" / "tsm-sim" / DRIVER, directory)
        shutil.rmtree(work)
        strip_modules(directory)
        for name, data in self.ready.items():  # as the kernel has them: strip drops signatures
            (directory / name).write_bytes(data)
        (directory / _NOTES).write_text(json.dumps(notes), encoding="utf-8")

    def _build_module(self, work: Path, module: Path, flags: tuple[str, ...]) -> list[str]:
        def build(added: Sequence[str]) -> str:
            return build_module(self.kernel, module, added, readable=[work])

        used: list[str] = []
        if self.shims:
            used, output = build_with_shims(module, flags, build)
        else:
            output = build(flags)
        warnings = list(dict.fromkeys(map(_warning, filter(_WARNING.match, output.splitlines()))))
        return [f"shim: {shim}" for shim in used] + warnings[:_MAX_WARNINGS]

    def _build_driver(self, work: Path, module: Path | None, flags: tuple[str, ...]) -> None:
        images, driver = guest_images_directory(), work / "modules" / "tsm-sim"
        shutil.copytree(images / "modules" / "tsm-sim", driver)
        shutil.copytree(images / "include", work / "include")
        variables = []
        if module is not None and self.source is not None:
            variables = [
                f"TSM_INCLUDE={self.source.include_below(work / _TREE)}",
                f"KBUILD_EXTRA_SYMBOLS={module / _SYMBOLS}",
            ]
        try:
            build_module(self.kernel, driver, flags, *variables, readable=[work])
        except BuildError as error:
            raise BuildError(
                f"the provider driver does not build against the header of the implementation: "
                f"{error}"
            ) from error


def require_replaceable(kernel: Kernel, name: str) -> None:
    """Raise :class:`UsageError` when ``name``, which is for configfs, cannot be loaded.

    The kernel's own implementation exports the same functions: it must be a module, or none.
    """
    kernel.require("CONFIGFS_FS", f"{name} needs it")
    if kernel.setting("TSM_REPORTS") == "y":
        raise UsageError(
            f"kernel {kernel.release} has its own implementation built in, so {name} cannot "
            "replace it",
            hint="use debian:6.12, or build with CONFIG_SEV_GUEST=m and CONFIG_TDX_GUEST_DRIVER=m, "
            "which make TSM_REPORTS a module",
        )


def exported_symbols(directory: Path) -> frozenset[tuple[str, str]]:
    """The symbols that the modules built in ``directory`` export, with their versions (CRC)."""
    lines = (directory / _SYMBOLS).read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(
        (fields[0], fields[1]) for line in lines if len(fields := line.split("\t")) > 1
    )


def build_notes(directory: Path) -> list[str]:
    """Notes for the user on a build: the shims that it needed, and the compiler's warnings."""
    notes: list[str] = json.loads((directory / _NOTES).read_bytes())
    return notes


def _warning(line: str) -> str:
    found = _WARNING.match(line)
    assert found is not None
    if found["modpost"]:
        return f"warning of modpost: {found['modpost'].removeprefix('modpost: ')}"
    return f"warning of the compiler: {found['where']}: {found['text']}"
