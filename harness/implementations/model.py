# SPDX-License-Identifier: MIT
"""What the rest of the harness knows of an implementation, whichever kind it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from harness.cache import Cache
from harness.kernels.model import Kernel
from harness.kernels.module_build import unstripped
from harness.progress import Progress

__all__ = ["Build", "Implementation", "InterfaceKind", "ModuleLoad", "ModuleSource"]

InterfaceKind = Literal["class", "configfs"]
"""The files an implementation offers: ``/sys/class/tsm`` or ``/sys/kernel/config/tsm``."""

_GUEST_DIRECTORY = "/run"


@dataclass(frozen=True)
class ModuleLoad:
    """A module to load: ``content`` is a file of this host, ``path`` its copy in the guest."""

    path: str
    content: Path
    parameters: str = ""

    @classmethod
    def of(cls, content: Path, parameters: str = "") -> ModuleLoad:
        """Load a file under its own name."""
        return cls(f"{_GUEST_DIRECTORY}/{content.name}", content, parameters)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Build:
    """An implementation and its provider driver, built for one kernel.

    ``modules`` are the implementation's, none when it is built in. ``notes`` are for the user: what
    was changed to read and build the sources.
    """

    modules: tuple[ModuleLoad, ...]
    driver: ModuleLoad
    notes: tuple[str, ...] = ()

    @property
    def loads(self) -> tuple[ModuleLoad, ...]:
        """All modules in the order of loading: the driver imports the implementation's symbols."""
        return (*self.modules, self.driver)

    @property
    def debug_files(self) -> dict[str, Path]:
        """The copies with debug information of the modules that were built here, by name."""
        files = {load.content.stem.replace("-", "_"): load.content for load in self.loads}
        copies = {name: unstripped(file) for name, file in files.items()}
        return {name: copy for name, copy in copies.items() if copy.exists()}


@dataclass(frozen=True)
class ModuleSource:
    """The sources of a module: ``files`` by path, and the ``directory`` with the Kbuild file.

    ``include`` is the directory of ``linux/tsm.h``; by default it is in that of the Kbuild file.
    """

    files: tuple[tuple[str, str], ...] = field(repr=False)
    directory: str = ""
    include: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of every path and text."""
        parts = (self.files, self.directory, *filter(None, (self.include,)))
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def include_below(self, tree: Path) -> Path:
        """The directory of ``linux/tsm.h`` after :meth:`write`."""
        return tree / self.include if self.include else tree / self.directory / "include"

    def write(self, tree: Path) -> Path:
        """Write the files below ``tree``; returns the directory of the module."""
        for name, text in self.files:
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        return tree / self.directory


class Implementation(Protocol):
    """Code that implements the report interface: the kernel's own, one of ours, or a user's."""

    @property
    def name(self) -> str:
        """The name the user wrote: ``mainline``, ``defect:NAME``, ``patch:FILE``, ..."""

    @property
    def interface(self) -> InterfaceKind:
        """The interface that it offers."""

    @property
    def defects(self) -> tuple[str, ...]:
        """The defects of ours that are switched on."""

    @property
    def verdicts_known(self) -> bool:
        """Whether the project knows which claims it fails; otherwise it should pass all."""

    @property
    def base(self) -> str:
        """The name of the implementation that this one changes; empty when it stands alone."""

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The source files, by path, that only the user has: a bundle must contain them."""

    @property
    def digest(self) -> str:
        """Changes with ``files``; empty without any."""

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> Implementation:
        """The implementation for ``kernel``: itself, unless its sources depend on the kernel.

        Raises :class:`harness.errors.UsageError` when a patch does not apply to the kernel's
        sources, and :class:`harness.errors.HostError` when these cannot be fetched.
        """

    def source(self) -> ModuleSource | None:
        """The sources with their defects fixed at compile time; None when there are none here."""

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build for ``kernel``, or take an earlier build from the cache.

        Raises :class:`harness.errors.UsageError` for a kernel that cannot have this
        implementation, and :class:`harness.errors.BuildError` with the compiler's errors.
        """
