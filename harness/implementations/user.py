# SPDX-License-Identifier: MIT
"""Implementations that a user brings, as a patch or a directory.

The interface is detected in the code, not configured.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache as memoized
from pathlib import Path, PurePosixPath

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.api import HEADER, detect_api
from harness.implementations.directory import directory_state, read_directory
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
from harness.implementations.patch import Patch, read_patch
from harness.implementations.source_rules import check_sources, module_name
from harness.kernels.model import Kernel
from harness.oracle.printable import printable
from harness.progress import Progress

__all__ = ["UserImplementation", "read_user_implementation", "user_implementation"]

_MAX_BYTES = 16 << 20
_NUMBERED = re.compile(r"(.+)#([1-9]\d{0,2})")
# A variable that is never set must not look like one that is set to 0. With the configuration of
# most kernels it does: INIT_STACK_ALL_ZERO.
_KBUILD = """\
ccflags-y := $(call cc-option,-ftrivial-auto-var-init=pattern)
LINUXINCLUDE := -I$(src)/include $(LINUXINCLUDE)
obj-m := {module}.o
{module}-y := {objects}
"""


@dataclass(frozen=True)
class UserImplementation:
    """The C files and headers of an implementation, built as the module ``tsm-user``.

    ``notes`` say what reading the sources changed and left out.
    """

    name: str
    interface: InterfaceKind
    files: tuple[tuple[str, str], ...] = field(repr=False)
    notes: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    verdicts_known: bool = False
    base: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of the sources."""
        return hashlib.sha256(repr(self.files).encode()).hexdigest()

    def on(self, kernel: Kernel, cache: Cache, progress: Progress) -> Implementation:
        """Itself."""
        return self

    def source(self) -> ModuleSource:
        """The sources with a Kbuild file."""
        objects = " ".join(f"{Path(n).stem}.o" for n, _ in self.files if n.endswith(".c"))
        kbuild = _KBUILD.format(module=module_name(dict(self.files)), objects=objects)
        return ModuleSource((*self.files, ("Kbuild", kbuild)))

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build the module, with shims where it was written for another kernel, and the driver."""
        title = Path(self.name.partition(":")[2]).name
        if self.interface == "configfs":
            require_replaceable(kernel, title)
        pair = ModulePair(kernel, self.source(), shims=True)
        directory = pair.build(title, cache, progress)
        notes = [*self.notes, *build_notes(directory)]
        load = ModuleLoad.of(directory / f"{module_name(dict(self.files))}.ko")
        return Build((load,), ModuleLoad.of(directory / DRIVER), tuple(notes))


def read_user_implementation(spec: str) -> UserImplementation:
    """Read ``patch:FILE`` or ``dir:PATH``; raises :class:`UsageError` naming what is missing.

    ``patch:FILE#2`` is the second version of the patch in the file.
    """
    kind, _, name = spec.partition(":")
    numbered = None
    try:
        if kind == "patch" and not Path(name).exists():
            numbered = _NUMBERED.fullmatch(name)
        path = Path(numbered[1] if numbered else name)
        modified = path.stat().st_mtime_ns
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {spec}: {getattr(error, 'strerror', error)}",
            hint="name an existing file or directory",
        ) from error
    if (kind == "dir") is not path.is_dir():
        other = "patch" if kind == "dir" else "dir"
        raise UsageError(
            f"{name} is {'not a' if kind == 'dir' else 'a'} directory", hint=f"use {other}:{name}"
        )
    if kind == "dir":
        modified = directory_state(path)
    return _read(spec, path, modified, int(numbered[2]) if numbered else 1)


@memoized
def _read(spec: str, path: Path, modified: int, number: int) -> UserImplementation:
    if path.is_dir():
        directory = read_directory(path)
        return _implementation(spec, directory.files, str(path), tuple(directory.notes))
    patch = _from_patch(path, number)
    return user_implementation(spec, patch, f"version {number} of the patch in {path}")


def user_implementation(spec: str, patch: Patch, where: str) -> UserImplementation:
    """Make the implementation ``spec`` of the files of ``patch``, which are from ``where``.

    Raises :class:`UsageError` naming what is missing.
    """
    notes = tuple(f"repaired: {repair}" for repair in patch.repairs)
    return _implementation(spec, _arrange(patch), where, notes)


def _implementation(
    spec: str, files: Mapping[str, str], where: str, notes: tuple[str, ...]
) -> UserImplementation:
    if HEADER not in files or not any(name.endswith(".c") for name in files):
        missing = "C file beside its header" if HEADER in files else "linux/tsm.h"
        raise UsageError(
            f"{where} has no {missing}; its files: {', '.join(map(printable, files)) or 'none'}",
            hint="an implementation consists of tsm.c and include/linux/tsm.h, as new files",
        )
    check_sources(files, where)
    interface = detect_api(files, where).interface
    return UserImplementation(spec, interface, tuple(sorted(files.items())), notes)


def _from_patch(path: Path, number: int) -> Patch:
    if path.stat().st_size > _MAX_BYTES:
        raise UsageError(
            f"{path} is larger than {_MAX_BYTES >> 20} MiB", hint="name a file with one patch"
        )
    return read_patch(path.read_bytes(), number)


def _arrange(patch: Patch) -> dict[str, str]:
    """Headers keep their path below ``include``; all other files go into one directory."""
    files: dict[str, str] = {}
    for name, text in patch.files.items():
        path = PurePosixPath(name)
        if path.suffix not in (".c", ".h") or ".." in path.parts:
            continue
        if "include" in path.parts:
            inside = PurePosixPath(*path.parts[path.parts.index("include") :])
            files[str(inside)] = text
        elif path.name == "tsm.h":
            files[HEADER] = text
        else:
            files[path.name] = text
    return files
