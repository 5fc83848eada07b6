# SPDX-License-Identifier: MIT
"""Finds and reads the kernel's own modules, with the modules that they depend on."""

from __future__ import annotations

import lzma
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from harness.elf import read_elf
from harness.errors import BuildError, HostError
from harness.kernels.model import Kernel

__all__ = ["read_modules"]

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst")


def read_modules(kernel: Kernel, names: Iterable[str]) -> dict[str, bytes]:
    """The named modules and their dependencies, uncompressed, in the order to load them.

    Names have underscores. Raises :class:`HostError` when a file is missing and
    :class:`BuildError` when it is damaged.
    """
    modules: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in modules:
            return
        content = _read(_find(kernel, name))
        for dependency in _dependencies(content, name):
            add(dependency)
        modules[name] = content

    for name in names:
        add(name)
    return modules


def _find(kernel: Kernel, name: str) -> Path:
    if kernel.modules is not None and name in (files := _module_files(kernel.modules)):
        return files[name]
    raise HostError(
        f"kernel {kernel.release} has no file of its module {name} in {kernel.modules}",
        hint="install the kernel's modules, or name the tree they were built in (--kernel-build)",
    )


@cache
def _module_files(directory: Path) -> dict[str, Path]:
    """The module files below ``directory`` by module name; cached, since trees are large."""
    files: dict[str, Path] = {}
    for suffix in _SUFFIXES:
        for path in directory.rglob(f"*{suffix}"):
            files.setdefault(path.name.removesuffix(suffix).replace("-", "_"), path)
    return files


def _read(path: Path) -> bytes:
    try:
        if path.suffix == ".xz":
            return lzma.decompress(path.read_bytes())
        if path.suffix == ".zst":
            command = ["zstd", "-dcq", str(path)]
            return subprocess.run(command, capture_output=True, check=True).stdout
        return path.read_bytes()
    except FileNotFoundError as error:
        raise HostError(
            f"cannot read {path}: no {error.filename}", hint="run `make setup`"
        ) from error
    except (OSError, lzma.LZMAError, subprocess.CalledProcessError) as error:
        raise BuildError(f"cannot read the module {path}: {error}") from error


def _dependencies(module: bytes, name: str) -> list[str]:
    """The ``depends=`` field of a module's ``.modinfo`` section."""
    with read_elf(module, name) as elf:
        section = elf.get_section_by_name(".modinfo")
        fields = section.data().split(b"\0") if section is not None else []
    listed = next((field[8:] for field in fields if field.startswith(b"depends=")), b"")
    return [
        name.decode("ascii", "replace").replace("-", "_") for name in listed.split(b",") if name
    ]
