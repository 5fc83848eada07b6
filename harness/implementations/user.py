# SPDX-License-Identifier: MIT
"""Implementations that a user brings, as a patch or a directory.

The interface is detected in the code, not configured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache as memoized
from pathlib import Path, PurePosixPath

from harness.cache import Cache
from harness.errors import UsageError
from harness.implementations.api import HEADER, detect_api
from harness.implementations.apply import apply_patches
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
from harness.implementations.source_rules import check_sources, module_name
from harness.kernels.model import Kernel
from harness.mail.file_diffs import created_files
from harness.mail.model import Posting
from harness.oracle.printable import printable
from harness.progress import Progress

__all__ = [
    "UserImplementation",
    "implementation_of_posting",
    "read_user_implementation",
    "user_implementation",
]

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
    """Read ``dir:PATH``; raises :class:`UsageError` naming what is missing."""
    name = spec.partition(":")[2]
    path = Path(name)
    try:
        path.stat()
        is_directory = path.is_dir()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read {spec}: {getattr(error, 'strerror', error)}",
            hint="name an existing directory",
        ) from error
    if not is_directory:
        raise UsageError(f"{name} is not a directory", hint=f"use patch:{name}")
    return _read(spec, path, directory_state(path))


@memoized
def _read(spec: str, path: Path, modified: int) -> UserImplementation:
    directory = read_directory(path)
    return _implementation(spec, directory.files, str(path), tuple(directory.notes))


def implementation_of_posting(spec: str, posting: Posting) -> UserImplementation:
    """Make the implementation ``spec`` of the new files of a posting.

    Raises :class:`UsageError` naming what is missing, and with git's words when a later patch does
    not apply to the files of the earlier ones.
    """
    where = f"the posting {posting.subject!a} in {spec.partition(':')[2]}"
    try:
        applied = apply_patches({}, posting.patches, created_files(posting))
    except UsageError as error:
        raise UsageError(
            f"{where} does not apply to its own files:\n{error}",
            hint="give all mails of the series",
        ) from error
    return user_implementation(spec, applied.files, where, (*posting.notes, *applied.notes))


def user_implementation(
    spec: str, files: Mapping[str, str], where: str, notes: tuple[str, ...] = ()
) -> UserImplementation:
    """Make the implementation ``spec`` of ``files``, which are from ``where``.

    Raises :class:`UsageError` naming what is missing.
    """
    return _implementation(spec, _arrange(files), where, notes)


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


def _arrange(files: Mapping[str, str]) -> dict[str, str]:
    """Headers keep their path below ``include``; all other files go into one directory.

    Raises :class:`UsageError` for two files that would get the same place.
    """
    arranged: dict[str, str] = {}
    for name, text in files.items():
        path = PurePosixPath(name)
        if path.suffix not in (".c", ".h") or ".." in path.parts:
            continue
        place = path.name
        if "include" in path.parts:
            place = str(PurePosixPath(*path.parts[path.parts.index("include") :]))
        elif path.name == "tsm.h":
            place = HEADER
        if place in arranged:
            raise UsageError(
                f"two new files become {place} of the module; one is {name}",
                hint="give a patch with one implementation, each file with a name of its own",
            )
        arranged[place] = text
    return arranged
