# SPDX-License-Identifier: MIT
"""Reads an implementation from a directory: a few files, a module's sources, or a kernel's layout.

The file that exports the function with which providers register is the implementation. The Makefile
beside it tells which other files belong to its module; without one, all C files do that are neither
userspace programs nor modules of their own. What is not used becomes a note for the user.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.errors import UsageError
from harness.implementations.api import HEADER, api_of, driver_apis, without_comments
from harness.implementations.makefile import objects_beside

__all__ = ["Directory", "directory_state", "read_directory"]

_RESULTS = "tsm-harness-results"
_RECORDS = ("verdict.json", "bundle.json")
_KERNEL_TREE = ("Kbuild", "Kconfig", "Makefile", "drivers", "kernel", "include/linux")
_BUILD_FILES = ("Makefile", "Kbuild")
_MAX_BYTES = 16 << 20
_MAX_FILES = 5000
_NAMED = 4  # files that a note names
_USERSPACE = re.compile(
    r"^[ \t]*#[ \t]*include[ \t]*<(?:stdio|stdlib|unistd|fcntl|assert|pthread)\.h>"
    r"|\bint\s+main\s*\(",
    re.MULTILINE,
)
_MODULE = re.compile(r"\bmodule_(?:init|\w*driver)\s*\(")


@dataclass
class Directory:
    """The files to build by their path in the module's directory, and notes for the user."""

    files: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_directory(path: Path) -> Directory:
    """Read the implementation in ``path``.

    Raises :class:`UsageError` for a kernel tree, and when it is not clear which files to build.
    """
    found = _Found(path)
    result = Directory(notes=found.notes)
    header = _header(found)
    if header is None:
        result.files = {str(name): text for name, text in found.texts.items()}
        return result
    name = api_of([(HEADER, header)])
    used = set(found.c_files())
    if name is not None:
        used = set(_sources(found, driver_apis()[name][0]))
    _arrange(found, used, header, result)
    return result


def directory_state(path: Path) -> int:
    """Return a number that changes when a file of the directory is edited, added or removed.

    Raises :class:`UsageError` for a kernel tree, and for a directory with too many files.
    """
    return hash(tuple((str(file), *_stamp(file)) for file in _walk(path, [])))


def _refuse_kernel_tree(path: Path) -> None:
    if all((path / name).exists() for name in _KERNEL_TREE):
        raise UsageError(
            f"{path} is the source tree of a kernel",
            hint=f"test it with --kernel tree:{path} --tsm mainline, or name the directory of the "
            "implementation, such as drivers/virt/coco in it",
        )


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


class _Found:
    """The C files and headers below a directory, by their path in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.texts: dict[PurePosixPath, str] = {}
        self.build_files: dict[PurePosixPath, str] = {}
        self.notes: list[str] = []
        for file in _walk(root, self.notes):
            name = PurePosixPath(file.relative_to(root).as_posix())
            if file.name in _BUILD_FILES:
                self.build_files[name] = _read(file)
            elif file.suffix in (".c", ".h") and not file.name.endswith(".mod.c"):
                self.texts[name] = _read(file)

    def c_files(self) -> list[PurePosixPath]:
        return [name for name in self.texts if name.suffix == ".c"]


def _walk(root: Path, notes: list[str]) -> Iterator[Path]:
    """Regular files; hidden directories and those with recorded results are left out."""
    _refuse_kernel_tree(root)
    seen = 0
    for where, directories, files in os.walk(root, onerror=_raise_unreadable):
        directory = Path(where)
        seen += len(files)
        if seen > _MAX_FILES:
            raise UsageError(
                f"{root} has more than {_MAX_FILES} files",
                hint="name the directory of the implementation alone",
            )
        kept = sorted(name for name in directories if not name.startswith("."))
        results = [name for name in kept if _has_results(directory / name)]
        directories[:] = [name for name in kept if name not in results]
        for name in results:
            shown = (directory / name).relative_to(root)
            notes.append(f"skipped {shown}: it has results of earlier runs")
        for name in sorted(files):
            if name.startswith(".") or not _is_regular(directory / name):
                continue
            # The directory may be a stranger's, and its files end up in published bundles.
            if not (directory / name).resolve().is_relative_to(root.resolve()):
                shown = (directory / name).relative_to(root)
                notes.append(f"skipped {shown}: it is a link that leads out of the directory")
                continue
            yield directory / name


def _has_results(directory: Path) -> bool:
    return directory.name == _RESULTS or any((directory / name).exists() for name in _RECORDS)


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError:  # a link that leads nowhere
        return False


def _raise_unreadable(error: OSError) -> None:
    raise UsageError(
        f"cannot read {error.filename}: {error.strerror}", hint="name a directory that you may read"
    ) from error


def _read(file: Path) -> str:
    try:
        data = file.read_bytes() if file.stat().st_size <= _MAX_BYTES else None
    except OSError as error:
        _raise_unreadable(error)
        raise
    if data is None:
        raise UsageError(
            f"{file} is larger than {_MAX_BYTES >> 20} MiB", hint="name a directory without it"
        )
    return data.decode("utf-8", "replace")


def _header(found: _Found) -> str | None:
    """The text of linux/tsm.h: in the directory, or in include/linux of a directory above it."""
    own = {name: found.texts[name] for name in found.texts if name.name == "tsm.h"}
    declaring = {name: text for name, text in own.items() if api_of([(HEADER, text)])}
    if not declaring:
        above = _header_above(found)
        if above is not None:
            return above
    ranked = sorted(declaring or own, key=lambda name: not str(f"/{name}").endswith(f"/{HEADER}"))
    if not ranked:
        return None
    first, *others = ranked
    for other in others:
        if own[other] == own[first]:
            continue
        if str(f"/{other}").endswith(f"/{HEADER}") or not str(f"/{first}").endswith(f"/{HEADER}"):
            raise _two_files(found.root, first, other)
        found.notes.append(f"not used: {other}; {first} is the header")
    for name in declaring:
        del found.texts[name]
    return own[first]


def _header_above(found: _Found) -> str | None:
    for parent in found.root.resolve().parents:
        header = parent / HEADER
        if header.is_file():
            found.notes.append(f"the header is {header}")
            return _read(header)
        if (parent / ".git").exists():
            break
    return None


def _sources(found: _Found, function: str) -> list[PurePosixPath]:
    """The C files of the module that exports ``function``; all others become a note."""
    owners = _owners(found, function)
    if len(owners) > 1:
        raise UsageError(
            f"{found.root / owners[0]} and {found.root / owners[1]} both define {function}()",
            hint="name a directory with one implementation",
        )
    c_files = found.c_files()
    listed = objects_beside(owners[0], found.build_files) if owners else None
    if listed is not None:
        used = [name for name in c_files if name in listed.objects]
        found.notes.append(f"{listed.file}: only its list of objects is used")
    else:
        codes = {name: without_comments(found.texts[name]) for name in c_files}
        own_entry = bool(owners) and _MODULE.search(codes[owners[0]]) is not None
        programs = [name for name in c_files if _USERSPACE.search(codes[name])]
        modules = [n for n in c_files if own_entry and n not in owners and _MODULE.search(codes[n])]
        _note(found.notes, programs, "a userspace program", "userspace programs")
        _note(found.notes, modules, "a module of its own", "modules of their own")
        used = [name for name in c_files if name not in {*programs, *modules}]
        build_files = ", ".join(map(str, found.build_files))
        if build_files:
            found.notes.append(f"not used: {build_files}; the harness has a Kbuild file of its own")
        return used
    _note(found.notes, [n for n in c_files if n not in used], "not listed", "not listed")
    return used


def _owners(found: _Found, function: str) -> list[PurePosixPath]:
    """The files that export ``function``, or else that define it."""
    codes = {name: without_comments(found.texts[name]) for name in found.c_files()}
    exported = re.compile(rf"\bEXPORT_SYMBOL\w*\s*\(\s*{function}\b")
    defined = re.compile(rf"\b{function}\s*\([^;{{}}]*\)\s*\{{")
    exporting = [name for name, code in codes.items() if exported.search(code)]
    return exporting or [name for name, code in codes.items() if defined.search(code)]


def _note(notes: list[str], names: list[PurePosixPath], one: str, several: str) -> None:
    if names:
        shown = ", ".join(map(str, names[:_NAMED]))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        notes.append(f"not used: {shown}{more} ({one if len(names) == 1 else several})")


def _arrange(found: _Found, used: set[PurePosixPath], header: str, result: Directory) -> None:
    """Headers keep their path below ``include``; all other files go into one directory."""
    origins: dict[str, PurePosixPath] = {}
    near = {name.parent for name in used}
    for name in sorted(found.texts, key=lambda name: name.parent not in near):
        if name.suffix == ".c" and name not in used:
            continue
        target = _target(name)
        if target == "tsm.h" and name.parent not in near:
            result.notes.append(f"not used: {name}; it declares no function to register with")
            continue
        first = origins.setdefault(target, name)
        if first == name:
            result.files[target] = found.texts[name]
        elif result.files[target] != found.texts[name] or name.suffix == ".c":
            if name.suffix == ".c" or name.parent in near:
                raise _two_files(found.root, first, name)
            result.notes.append(f"not used: {name}; {first} has the same name")
    result.files[HEADER] = header
    if "tsm.h" not in result.files and _includes_beside(result.files):
        result.files["tsm.h"] = "#include <linux/tsm.h>\n"


def _target(name: PurePosixPath) -> str:
    if "include" in name.parts[:-1]:
        return str(PurePosixPath(*name.parts[name.parts.index("include") :]))
    return name.name


def _includes_beside(files: Mapping[str, str]) -> bool:
    """Whether a file has ``#include "tsm.h"``, which moves to include/linux."""
    return any(re.search(r'^\s*#\s*include\s*"tsm\.h"', t, re.MULTILINE) for t in files.values())


def _two_files(root: Path, first: PurePosixPath, second: PurePosixPath) -> UsageError:
    return UsageError(
        f"two files of one name: {root / first} and {root / second}",
        hint="name a directory with one of them: all files are built in one directory",
    )
