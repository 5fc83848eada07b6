# SPDX-License-Identifier: MIT
"""Fragments of a kernel's configuration: whether their settings survived, and if not, why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import kconfiglib

from harness.kernels import kconfig_script
from harness.kernels.model import parse_config
from harness.paths import guest_images_directory
from harness.sandbox import confine, confined_environment

__all__ = ["explain_lost", "lost_symbols", "read_fragment"]

_SECONDS = 120
_MAX_LINE = 500  # characters


def read_fragment(name: str) -> str:
    """The text of ``guest-images/config/NAME.config``."""
    return (guest_images_directory() / "config" / f"{name}.config").read_text(encoding="utf-8")


def lost_symbols(fragment: str, config: str) -> list[str]:
    """The symbols that do not have the fragment's setting in ``config``; m counts as y."""
    actual = parse_config(config)
    lost = []
    for symbol, wanted in parse_config(fragment).items():
        setting = actual.get(symbol, "n")
        if setting != wanted and {setting, wanted} != {"m", "y"}:
            lost.append(symbol)
    return lost


def explain_lost(tree: Path, config: Path, symbols: Sequence[str], compiler: str) -> list[str]:
    """One line for each lost symbol: the dependency that the tree's Kconfig misses.

    Kconfig files run commands of their own (``$(shell,...)``), so a confined process reads them.
    When it cannot, the lines have the names only.
    """
    script, library = Path(kconfig_script.__file__), Path(kconfiglib.__file__)
    readable = [tree, config, script, library, Path(sys.prefix), Path(sys.base_prefix)]
    arguments = [sys.executable, "-I", str(script), str(library.parent), str(config), *symbols]
    try:
        lines = subprocess.run(
            confine(arguments, readable=readable, directory=tree),
            cwd=tree,
            env=confined_environment(Path("/tmp")) | _variables(tree, compiler),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=True,
        ).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        lines = []
    if len(lines) != len(symbols):
        return [f"{name}: its dependencies could not be read" for name in symbols]
    return [line[:_MAX_LINE] for line in lines]


def _variables(tree: Path, compiler: str) -> dict[str, str]:
    """The variables that the kernel's Makefile exports for Kconfig."""
    return {
        "srctree": str(tree), "ARCH": "x86", "SRCARCH": "x86", "KERNELVERSION": "0",
        "CC": compiler, "LD": "ld", "NM": "nm", "OBJCOPY": "objcopy", "AR": "ar", "RUSTC": "rustc",
        "BINDGEN": "bindgen", "PAHOLE": "pahole", "CC_VERSION_TEXT": compiler, "HOSTCC": compiler,
        "CONFIG_": "CONFIG_",
    }  # fmt: skip
