# SPDX-License-Identifier: MIT
"""Builds external modules against a kernel, with Kbuild and the compiler that its tree asks for.

Sources and makefiles may be a stranger's: every command is confined (:mod:`harness.sandbox`) to the
directory of the module, which it may change, and to the kernel's build tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from harness.errors import BuildError, HostError
from harness.kernels.model import Kernel
from harness.kernels.toolchain import write_compiler
from harness.sandbox import confine, confined_environment, writable

__all__ = ["build_module", "module_compiler", "reproducible_flags", "strip_modules", "unstripped"]

_MAKE_SECONDS = 600
_UNSTRIPPED = "debug"
_SIGNING_KEY = "certs/signing_key.pem"  # in a tree that signs its modules; no build needs it here
_ERROR = re.compile(r"error|not found|No such|undefined")


def build_module(
    kernel: Kernel,
    directory: Path,
    flags: Iterable[str],
    *variables: str,
    readable: Sequence[Path] = (),
) -> str:
    """Build the modules of ``directory`` against ``kernel``; returns make's output.

    ``flags`` are for the compiler, ``variables`` are ``NAME=VALUE`` for make, ``readable`` are
    further directories that the build reads. Raises :class:`BuildError` with the compiler's errors.
    """
    seen = [*readable, *_build_tree(kernel.build)]
    jobs = len(os.sched_getaffinity(0))
    # BTF is not needed, and would need pahole where the headers come with a vmlinux.
    command = ["make", "-C", str(kernel.build), f"M={directory}", f"-j{jobs}", "modules"]
    command += [*variables, f"KCFLAGS={' '.join(flags)}", "CONFIG_DEBUG_INFO_BTF_MODULES="]
    compiler = module_compiler(kernel)
    if compiler != _requested_compiler(kernel):
        script = directory.parent / "cc"
        write_compiler(script, compiler)
        command.append(f"CC={script}")
        seen.append(script)
    return _run(command, directory, readable=seen, hidden=[kernel.build / _SIGNING_KEY])


def reproducible_flags(kernel: Kernel, work: Path) -> tuple[str, ...]:
    """Compiler flags for debug information without paths of this host.

    The paths would be in ``__FILE__``, and the build id would depend on them.
    """
    headers = kernel.build.resolve().parent
    # When two prefixes match, the compiler uses the one given last.
    return ("-g", f"-ffile-prefix-map={headers}/=/", f"-ffile-prefix-map={work}/=/")


def strip_modules(directory: Path) -> None:
    """Remove debug information from the modules in ``directory``; :func:`unstripped` has copies."""
    (directory / _UNSTRIPPED).mkdir()
    with tempfile.TemporaryDirectory(dir=directory) as name:
        stripped = Path(name)
        for module in directory.glob("*.ko"):
            output = stripped / module.name
            command = ["strip", "--strip-debug", "-o", str(output), str(module)]
            _run(command, stripped, readable=[module])
            module.rename(unstripped(module))
            shutil.copy(output, module)


def unstripped(module: Path) -> Path:
    """The copy of a stripped module that still has debug information."""
    return module.parent / _UNSTRIPPED / module.name


def module_compiler(kernel: Kernel) -> str:
    """The compiler that the build tree asks for; gcc when the host has only that."""
    requested = _requested_compiler(kernel)
    return requested if shutil.which(requested) or not shutil.which("gcc") else "gcc"


def _requested_compiler(kernel: Kernel) -> str:
    """The versioned gcc that packaged headers name; gcc for all others."""
    try:
        text = (kernel.build / ".kernelvariables").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^CC = .*?(gcc-\d+)", text, re.MULTILINE)
    return named[1] if named else "gcc"


def _build_tree(build: Path) -> Iterator[Path]:
    """The directories that a kernel's build tree consists of.

    Packaged headers refer to other packages below the same root. A tree that was built outside its
    sources has a link to them, and a Makefile that includes theirs.
    """
    yield build
    if build.parent.match("usr/src"):
        yield from (root for root in build.parents[2:3] if root != Path("/"))
        return
    try:
        text = (build / "Makefile").read_text(encoding="utf-8", errors="replace")
        yield from (path.resolve() for path in build.iterdir() if path.is_symlink())
    except OSError:
        return  # make will say what is wrong
    for name in re.findall(r"^include +(/\S+)$", text, re.MULTILINE):
        yield Path(name).parent


def _run(
    command: list[str], directory: Path, *, readable: Sequence[Path], hidden: Sequence[Path] = ()
) -> str:
    """Run a command that may change only ``directory``, and return its output."""
    if shutil.which(command[0]) is None:
        raise HostError(
            f"this host has no {command[0]}, which building modules needs", hint="run `make setup`"
        )
    kbuild = {"KBUILD_BUILD_TIMESTAMP": "1970-01-01", "KBUILD_BUILD_USER": "tsm"}
    try:
        with writable(directory):
            done = subprocess.run(
                confine(
                    command,
                    writable=[directory],
                    readable=readable,
                    hidden=hidden,
                    directory=directory,
                ),
                env=confined_environment(directory) | kbuild,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_MAKE_SECONDS,
                check=False,
            )
    except FileNotFoundError as error:
        raise HostError(f"this host has no {error.filename}", hint="run `make setup`") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{command[0]} did not finish within {_MAKE_SECONDS} s") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).replace(f"{directory}/", "").splitlines()
        errors = "\n".join([line for line in lines if _ERROR.search(line)][:20])
        raise BuildError(
            f"building {directory.name} failed:\n{errors or done.stderr.strip()[-2000:]}"
        )
    return done.stdout + done.stderr
