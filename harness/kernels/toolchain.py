# SPDX-License-Identifier: MIT
"""The host's compiler as part of what a build is made of, and newer kernels on older hosts."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from harness.errors import HostError

__all__ = ["build_digest", "compiler_version", "wrap_tools", "write_compiler"]


def compiler_version(compiler: str) -> str:
    """What ``compiler`` says it is; raises :class:`HostError` naming the package without it."""
    path = shutil.which(compiler)
    if path is None:
        raise HostError(
            f"there is no {compiler} on this host to build with",
            hint=f"run `make setup`, or install the package {compiler}",
        )
    return subprocess.run(
        [path, "--version"], capture_output=True, text=True, errors="replace", check=False
    ).stdout


def build_digest(root: Path, files: Iterable[Path], *words: str) -> str:
    """SHA-256 over files, their paths below ``root``, and whatever else the result depends on."""
    digest = hashlib.sha256(repr(words).encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


_ELF = b"\x7fELF"
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
_WRAPPER = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
root=$here/{up}
exec "$root/{libraries}/ld-linux-x86-64.so.2" --library-path "$root/{libraries}" \\
\t"$here/{program}" "$@"
"""
_COMPILER = """#!/bin/sh
# What a newer compiler calls -fmin-function-alignment.
for word; do
\tshift
\tcase "$word" in
\t-fmin-function-alignment=*) word=-falign-functions=${{word#*=}} ;;
\tesac
\tset -- "$@" "$word"
done
exec {compiler} "$@"
"""


def wrap_tools(root: Path) -> None:
    """Have the build tools unpacked below ``root`` use the C library unpacked beside them.

    Tools of one name with several endings (``modpost.real-lsb-64``) choose among themselves by
    their own path, which a loader hides: the one for this machine is taken.
    """
    for tool in sorted((root / "usr" / "lib").glob("linux-kbuild-*/**/*")):
        if not tool.is_file() or tool.is_symlink() or ".real-" in tool.name:
            continue
        with tool.open("rb") as file:
            if file.read(4) != _ELF:
                continue
        real = [tool.with_name(f"{tool.name}.real-{end}") for end in ("lsb-64", "x86")]
        program = next((path for path in real if path.exists()), None)
        if program is None:
            program = tool.rename(tool.with_name(f"{tool.name}.elf"))
        up = "/".join([".."] * (len(tool.relative_to(root).parts) - 1))
        tool.unlink(missing_ok=True)
        tool.write_text(_WRAPPER.format(up=up, libraries=_LIBRARIES, program=program.name))
        tool.chmod(0o755)


def write_compiler(path: Path, compiler: str) -> None:
    """Write a script that is ``compiler`` and takes the flags of a newer one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_COMPILER.format(compiler=compiler), encoding="ascii")
    path.chmod(0o755)
