# SPDX-License-Identifier: MIT
"""Checks that a module which was built exports the functions with which providers register."""

from __future__ import annotations

import re
from pathlib import Path

from elftools.elf.sections import SymbolTableSection

from harness.elf import read_elf
from harness.errors import BuildError
from harness.implementations.api import HEADER, api_of, driver_apis, without_comments
from harness.kernels.model import Kernel

__all__ = ["require_registration"]

_CONDITION = re.compile(r"^\s*#\s*if.*\bCONFIG_(\w+).*", re.MULTILINE)


def require_registration(module: Path, include: Path, kernel: Kernel) -> None:
    """Raise :class:`BuildError` unless the module in ``module`` exports its registration.

    ``include`` is the directory with the implementation's linux/tsm.h.

    Without this check, the provider driver fails to build, with an error about the driver.
    """
    header = include / "linux" / "tsm.h"
    text = header.read_text(encoding="utf-8", errors="replace") if header.exists() else ""
    name = api_of([(HEADER, text)])
    if name is None:
        return
    function = driver_apis()[name][0]
    exported = (module / "Module.symvers").read_text(encoding="utf-8").split()
    if function in exported:
        return
    defined = _functions(module)
    if function in defined:
        raise BuildError(
            f"the implementation defines {function}() and does not export it, so no provider can "
            "register",
            hint=f"add EXPORT_SYMBOL_GPL({function})",
        )
    condition = _condition(module, kernel)
    raise BuildError(
        f"the module that was built has no {function}(), so no provider can register{condition}",
        hint="define it in a C file, outside of conditions that the kernel does not meet",
    )


def _functions(module: Path) -> set[str]:
    names: set[str] = set()
    for path in module.glob("*.ko"):
        with read_elf(path) as elf:
            table = elf.get_section_by_name(".symtab")
            if isinstance(table, SymbolTableSection):
                names |= {s.name for s in table.iter_symbols() if s["st_shndx"] != "SHN_UNDEF"}
    return names


def _condition(module: Path, kernel: Kernel) -> str:
    """The first condition of the sources that this kernel's configuration does not meet."""
    for path in sorted(module.glob("*.c")):
        code = without_comments(path.read_text(encoding="utf-8", errors="replace"))
        for found in _CONDITION.finditer(code):
            if kernel.setting(found[1]) == "n":
                return (
                    f"; {path.name} has `{found[0].strip()}`, and this kernel has no "
                    f"CONFIG_{found[1]}"
                )
    return ""
