# SPDX-License-Identifier: MIT
"""Building for kernels newer than the host: libraries of build tools, flags, makefiles."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from harness.kernels.debian import _relocate
from harness.kernels.toolchain import wrap_tools, write_compiler


def test_tools_use_the_libraries_of_their_directory(tmp_path: Path) -> None:
    libraries = tmp_path / "usr/lib/x86_64-linux-gnu"
    tools = tmp_path / "usr/lib/linux-kbuild-9/scripts"
    for directory in (libraries, tools / "mod"):
        directory.mkdir(parents=True)
    for library in ("ld-linux-x86-64.so.2", "libc.so.6"):
        shutil.copy(f"/lib/x86_64-linux-gnu/{library}", libraries)
    shutil.copy("/bin/echo", tools / "fixdep")
    shutil.copy("/bin/false", tools / "mod" / "modpost")
    shutil.copy("/bin/echo", tools / "mod" / "modpost.real-lsb-64")
    (tools / "script.sh").write_text("#!/bin/sh\n")
    wrap_tools(tmp_path)
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)  # as the cache does with a new entry
    for name in ("fixdep", "mod/modpost"):
        tool = moved / "usr/lib/linux-kbuild-9/scripts" / name
        assert tool.read_bytes().startswith(b"#!/bin/sh")
        done = subprocess.run([tool, "a b", "c"], capture_output=True, text=True, check=True)
        assert done.stdout == "a b c\n"
    assert (moved / "usr/lib/linux-kbuild-9/scripts/script.sh").read_text() == "#!/bin/sh\n"
    moved.rename(tmp_path)


def test_flag_of_newer_compilers_is_translated(tmp_path: Path) -> None:
    script = tmp_path / "cc"
    write_compiler(script, "printf '%s|'")
    flags = ["-O2", "-fmin-function-alignment=16", "-DX=a b", ""]
    done = subprocess.run([script, *flags], capture_output=True, text=True, check=True)
    assert done.stdout == "-O2|-falign-functions=16|-DX=a b||"


def test_makefiles_of_headers_use_relative_paths(tmp_path: Path) -> None:
    common = tmp_path / "linux-headers-9-common"
    flavour = tmp_path / "linux-headers-9-amd64"
    common.mkdir()
    flavour.mkdir()
    (common / "Makefile").write_text("all:\n\t@echo $(KBUILD_OUTPUT)\n")
    makefile = flavour / "Makefile"
    makefile.write_text(
        "KBUILD_OUTPUT=/usr/src/linux-headers-9-amd64\n"
        "include /usr/src/linux-headers-9-common/Makefile\n"
    )
    _relocate(makefile)
    done = subprocess.run(["make", "-C", flavour], capture_output=True, text=True, check=True)
    assert str(flavour) in done.stdout.splitlines()
