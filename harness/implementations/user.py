# SPDX-License-Identifier: MIT
"""Implementations that a user brings, as a patch or a directory.

The interface is detected in the code, not configured.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from functools import cache as memoized
from pathlib import Path, PurePosixPath

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.api import HEADER, detect_api
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
    require_replaceable,
    used_shims,
)
from harness.implementations.patch import Patch, read_patch
from harness.kernels.model import Kernel
from harness.progress import Progress

__all__ = ["UserImplementation", "read_user_implementation", "user_implementation"]

_MODULE = "tsm-user"
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

    ``repairs`` are the changes that reading the patch took, ``notes`` what else the user must know.
    """

    name: str
    interface: InterfaceKind
    files: tuple[tuple[str, str], ...] = field(repr=False)
    repairs: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    verdicts_known: bool = False
    base: str = ""
    notes: tuple[str, ...] = ()

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
        kbuild = _KBUILD.format(module=_MODULE, objects=objects)
        return ModuleSource((*self.files, ("Kbuild", kbuild)))

    def build(self, kernel: Kernel, cache: Cache, progress: Progress) -> Build:
        """Build the module, with shims where it was written for another kernel, and the driver."""
        title = Path(self.name.partition(":")[2]).name
        if self.interface == "configfs":
            require_replaceable(kernel, title)
        pair = ModulePair(kernel, self.source(), shims=True)
        directory = pair.build(title, cache, progress)
        notes = [*self.notes, *(f"repaired: {repair}" for repair in self.repairs)]
        notes += [f"shim: {shim}" for shim in used_shims(directory)]
        load = ModuleLoad.of(directory / f"{_MODULE}.ko")
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
    return _read(spec, path, modified, int(numbered[2]) if numbered else 1)


@memoized
def _read(spec: str, path: Path, modified: int, number: int) -> UserImplementation:
    is_directory = path.is_dir()
    patch = _from_directory(path) if is_directory else _from_patch(path, number)
    where = str(path) if is_directory else f"version {number} of the patch in {path}"
    return user_implementation(spec, patch, where)


def user_implementation(spec: str, patch: Patch, where: str) -> UserImplementation:
    """Make the implementation ``spec`` of the files of ``patch``, which are from ``where``.

    Raises :class:`UsageError` naming what is missing.
    """
    files = _arrange(patch)
    hint = "an implementation consists of tsm.c and include/linux/tsm.h, as new files"
    if HEADER not in files or not any(name.endswith(".c") for name in files):
        missing = "C file beside its header" if HEADER in files else "linux/tsm.h"
        raise UsageError(
            f"{where} has no {missing}; its new files: {', '.join(patch.files) or 'none'}",
            hint=hint,
        )
    interface = detect_api(files, where).interface
    return UserImplementation(spec, interface, tuple(sorted(files.items())), tuple(patch.repairs))


def _from_patch(path: Path, number: int) -> Patch:
    if path.stat().st_size > _MAX_BYTES:
        raise UsageError(
            f"{path} is larger than {_MAX_BYTES >> 20} MiB", hint="name a file with one patch"
        )
    return read_patch(path.read_bytes(), number)


def _from_directory(path: Path) -> Patch:
    patch = Patch()
    for file in sorted([*path.rglob("*.c"), *path.rglob("*.h")]):
        if file.name.endswith(".mod.c") or file.stat().st_size > _MAX_BYTES:
            continue
        patch.files[str(file.relative_to(path))] = file.read_text("utf-8", "replace")
    return patch


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
