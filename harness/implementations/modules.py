# SPDX-License-Identifier: MIT
"""The guest's modules: ours, built against the kernel, and the kernel's own that they need."""

from __future__ import annotations

import io
import lzma
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

from harness.cache import Cache
from harness.errors import BuildError, HostError
from harness.implementations.spec import builds_configfs, kernel_module_name
from harness.kernels.model import Kernel
from harness.kernels.toolchain import build_digest, compiler_version, write_compiler
from harness.paths import guest_images_directory
from harness.progress import Progress

__all__ = [
    "DEBUG",
    "boot_modules",
    "build_guest_modules",
    "compiler_flags",
    "kernel_modules",
    "make_module",
    "strip_modules",
]

DEBUG = "debug"
"""The directory, beside modules that were built, of the same with debugging information."""

_BOOT = {"VIRTIO": "virtio", "VIRTIO_RING": "virtio_ring", "VIRTIO_PCI": "virtio_pci",
         "VIRTIO_CONSOLE": "virtio_console", "CONFIGFS_FS": "configfs"}  # fmt: skip
_MAKE_SECONDS = 600
_LAYOUT = "5"  # of how modules are built; another number builds them anew
_SUFFIXES = (".ko", ".ko.xz", ".ko.zst")


def build_guest_modules(kernel: Kernel, cache: Cache, progress: Progress) -> Path:
    """Build our cores, and tsm-sim for each core there is; the directory with the module files.

    Raises :class:`BuildError` with the compiler's words.
    """
    sources = guest_images_directory()
    files = [path for path in (sources / "modules").rglob("*") if path.is_file()]
    files.append(sources / "include" / "tsmw.h")
    key = build_digest(sources, files, _LAYOUT, kernel.digest, compiler_version(_compiler(kernel)))

    def build(directory: Path) -> None:
        with progress.step(f"building modules for {kernel.release}"):
            _build(kernel, sources, directory)

    return cache.get_or_make("modules", key, build)


def _build(kernel: Kernel, sources: Path, directory: Path) -> None:
    work = directory / "build"
    shutil.copytree(sources / "modules", work / "modules")
    shutil.copytree(sources / "include", work / "include")
    flags = compiler_flags(kernel, work)
    for kind in ("class", "configfs"):
        if kind == "class" or builds_configfs(kernel):
            core = work / "modules" / f"tsm-{kind}"
            make_module(kernel, core, flags)
            shutil.copy(core / f"tsm-{kind}.ko", directory)
            words = (f"TSM_CORE={kind}", f"KBUILD_EXTRA_SYMBOLS={core}/Module.symvers")
            _build_driver(kernel, work, directory / f"tsm-sim-{kind}.ko", flags, *words)
    if kernel.setting("TSM_REPORTS") != "n":
        target = directory / "tsm-sim-mainline.ko"
        _build_driver(kernel, work, target, flags, "TSM_CORE=mainline")
    shutil.rmtree(work)
    strip_modules(directory)


def _build_driver(kernel: Kernel, work: Path, target: Path, *words: str) -> None:
    """Build tsm-sim for one core, from clean sources: a core's header is not a dependency."""
    sim = work / "modules" / "tsm-sim"
    shutil.rmtree(sim)
    shutil.copytree(guest_images_directory() / "modules" / "tsm-sim", sim)
    make_module(kernel, sim, *words)
    shutil.copy(sim / "tsm-sim.ko", target)


def compiler_flags(kernel: Kernel, work: Path) -> str:
    """Words for make: debugging information, and no path of this host.

    Neither in ``__FILE__`` nor, by way of the debugging information that is taken out, in the
    build id.
    """
    headers = kernel.build.resolve().parent
    # Of two that fit, the later one counts.
    return f"KCFLAGS=-g -ffile-prefix-map={headers}/=/ -ffile-prefix-map={work}/=/"


def strip_modules(directory: Path) -> None:
    """Take the debugging information out of the module files of ``directory``.

    The files as they were are kept in its ``debug``.
    """
    (directory / DEBUG).mkdir()
    for module in directory.glob("*.ko"):
        shutil.copy(module, directory / DEBUG)
        _run(["strip", "--strip-debug", str(module)], directory)


def make_module(kernel: Kernel, directory: Path, *words: str) -> str:
    """Build the modules in ``directory`` against ``kernel``; returns what was printed.

    Raises :class:`BuildError` with the compiler's words.
    """
    jobs = len(os.sched_getaffinity(0))
    # The vmlinux of the headers would be used for BTF, which needs pahole and nobody reads.
    command = ["make", "-C", str(kernel.build), f"M={directory}", f"-j{jobs}", *words,
               "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]  # fmt: skip
    compiler = _compiler(kernel)
    if compiler != _asked_for(kernel):
        script = directory.parent / "cc"
        write_compiler(script, compiler)
        command.append(f"CC={script}")
    return _run(command, directory)


def _run(command: list[str], directory: Path) -> str:
    clean = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=clean | {"KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_USER": "tsm"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_MAKE_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(
            f"there is no {command[0]} to build modules with", hint="run `make setup`"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{command[0]} did not end in {_MAKE_SECONDS} s") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).replace(f"{directory}/", "").splitlines()
        words = [line for line in lines if re.search(r"error|not found|No such|undefined", line)]
        said = "\n".join(words[:20]) or done.stderr.strip()[-2000:]
        raise BuildError(f"building {directory.name} failed:\n{said}")
    return done.stdout + done.stderr


def _compiler(kernel: Kernel) -> str:
    """The compiler the build tree asks for, or the host's own where that is not installed."""
    asked = _asked_for(kernel)
    return asked if shutil.which(asked) or not shutil.which("gcc") else "gcc"


def _asked_for(kernel: Kernel) -> str:
    """Packaged headers name a version, others take gcc."""
    try:
        asked = (kernel.build / ".kernelvariables").read_text(encoding="utf-8", errors="replace")
    except OSError:
        asked = ""
    named = re.search(r"^CC = .*?(gcc-\d+)", asked, re.MULTILINE)
    return named[1] if named else "gcc"


def boot_modules(kernel: Kernel) -> list[str]:
    """The kernel's own modules that init loads before anything else, dependencies first."""
    wanted = [module for symbol, module in _BOOT.items() if kernel.setting(symbol) == "m"]
    return list(_closure(kernel, wanted))


def kernel_modules(kernel: Kernel) -> dict[str, bytes]:
    """Every module of the kernel's own that the image needs, by file name, uncompressed."""
    wanted = boot_modules(kernel)
    if kernel.setting("TSM_REPORTS") == "m":
        wanted += [
            name for name in _closure(kernel, [kernel_module_name(kernel)]) if name not in wanted
        ]
    return {f"{name}.ko": _content(_find(kernel, name)) for name in wanted}


def _closure(kernel: Kernel, names: list[str]) -> Iterator[str]:
    seen: set[str] = set()

    def visit(name: str) -> Iterator[str]:
        if name not in seen:
            seen.add(name)
            for dependency in _dependencies(_content(_find(kernel, name)), name):
                yield from visit(dependency)
            yield name

    for name in names:
        yield from visit(name)


def _find(kernel: Kernel, name: str) -> Path:
    if kernel.modules is not None and name in (files := _module_files(kernel.modules)):
        return files[name]
    raise HostError(
        f"the module {name} of {kernel.release} is not there: looked in {kernel.modules}",
        hint="install the kernel's modules, or name the tree they were built in (--kernel-build)",
    )


@cache
def _module_files(directory: Path) -> dict[str, Path]:
    """Every module file below ``directory`` by module name: one walk, trees are large."""
    files: dict[str, Path] = {}
    for suffix in _SUFFIXES:
        for path in directory.rglob(f"*{suffix}"):
            files.setdefault(path.name.removesuffix(suffix).replace("-", "_"), path)
    return files


def _content(path: Path) -> bytes:
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
        raise BuildError(f"the module {path} cannot be read: {error}") from error


def _dependencies(module: bytes, name: str) -> list[str]:
    """The ``depends=`` of a module's ``.modinfo`` section."""
    try:
        section = ELFFile(io.BytesIO(module)).get_section_by_name(".modinfo")
    except ELFError as error:
        raise BuildError(f"the kernel's module {name} is no ELF file: {error}") from error
    fields = section.data().split(b"\0") if section is not None else []
    listed = next((field[8:] for field in fields if field.startswith(b"depends=")), b"")
    return [
        word.decode("ascii", "replace").replace("-", "_") for word in listed.split(b",") if word
    ]
