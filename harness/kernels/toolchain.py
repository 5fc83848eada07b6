# SPDX-License-Identifier: MIT
"""The host's compiler as an input of builds, and wrappers for kernels newer than the host."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HostError

__all__ = ["build_digest", "compiler_version", "wrap_tools", "write_compiler"]

_ELF = b"\x7fELF"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_WRAPPER = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
root=$here/{up}
exec "$root/{libraries}/ld-linux-x86-64.so.2" --library-path "$root/{libraries}" \\
\t"$here/{program}" "$@"
"""
_COMPILER = """#!/bin/sh
# Compilers before gcc 14 do not know -fmin-function-alignment.
for argument; do
\tshift
\tcase "$argument" in
\t-fmin-function-alignment=*) argument=-falign-functions=${{argument#*=}} ;;
\tesac
\tset -- "$@" "$argument"
done
exec {compiler} "$@"
"""


def compiler_version(compiler: str) -> str:
    """The output of ``compiler --version``; raises :class:`HostError` naming its package."""
    path = shutil.which(compiler)
    if path is None:
        raise HostError(
            f"this host has no {compiler}, which the build needs",
            hint=f"run `make setup`, or install the package {compiler}",
        )
    return subprocess.run(
        [path, "--version"], capture_output=True, text=True, errors="replace", check=False
    ).stdout


def build_digest(root: Path, files: Iterable[Path], *inputs: str) -> str:
    """SHA-256 of files with their paths below ``root``, and of the other ``inputs`` of a build."""
    digest = hashlib.sha256(repr(inputs).encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def wrap_tools(root: Path) -> None:
    """Make the kernel's build tools below ``root`` use the C library unpacked beside them.

    A tool with variants (``modpost.real-lsb-64``) selects one by its own path, which is the
    loader's here; the wrapper runs the variant for x86-64.
    """
    for tool in sorted((root / "usr" / "lib").glob("linux-kbuild-*/**/*")):
        if not tool.is_file() or tool.is_symlink() or ".real-" in tool.name:
            continue
        with tool.open("rb") as file:
            if file.read(4) != _ELF:
                continue
        variants = [tool.with_name(f"{tool.name}.real-{end}") for end in ("lsb-64", "x86")]
        program = next((path for path in variants if path.exists()), None)
        if program is None:
            program = tool.rename(tool.with_name(f"{tool.name}.elf"))
        up = "/".join([".."] * (len(tool.relative_to(root).parts) - 1))
        tool.unlink(missing_ok=True)
        tool.write_text(_WRAPPER.format(up=up, libraries=_LIBRARIES, program=program.name))
        tool.chmod(0o755)


def write_compiler(path: Path, compiler: str) -> None:
    """Write a script that calls ``compiler`` and translates a flag of newer compilers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_COMPILER.format(compiler=compiler), encoding="ascii")
    path.chmod(0o755)
