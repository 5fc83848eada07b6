# SPDX-License-Identifier: MIT
"""Kconfig fragments: whether their settings survived, and which dependency dropped the others."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import kconfiglib

from harness.kernels.model import parse_config
from harness.paths import guest_images_directory

__all__ = ["explain_lost", "lost_symbols", "read_fragment"]

_NEW_SYNTAX = re.compile(r"^([ \t]+)(modules|transitional)[ \t]*$", re.MULTILINE)
_OLD_SYNTAX = {"modules": "{}option modules", "transitional": ""}
_MAX_SELECTORS = 200  # characters of an expression in a message


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

    When kconfiglib cannot read the tree's Kconfig, the lines have the names only.
    """
    try:
        with _kconfig_environment(tree, compiler):
            kconfig = _Kconfig("Kconfig", warn=False)
            kconfig.load_config(str(config))
            return [f"{name}: {_explain(kconfig, name)}" for name in symbols]
    except (kconfiglib.KconfigError, kconfiglib._KconfigIOError, OSError, UnicodeError, ValueError):
        return [f"{name}: its dependencies could not be read" for name in symbols]


class _Kconfig(kconfiglib.Kconfig):  # type: ignore[misc] # it has no types
    """Rewrites syntax newer than kconfiglib 14.1 (Documentation/kbuild/kconfig-language.rst)."""

    def _open(self, filename: str, mode: str) -> IO[str]:
        file: IO[str] = super()._open(filename, mode)
        if mode != "r" or not Path(filename).name.startswith("Kconfig"):
            return file
        with file:
            text = _NEW_SYNTAX.sub(
                lambda found: _OLD_SYNTAX[found[2]].format(found[1]), file.read()
            )
        return io.StringIO(text)


def _explain(kconfig: kconfiglib.Kconfig, name: str) -> str:
    symbol = kconfig.syms.get(name)
    if symbol is None or not symbol.nodes:
        return "this tree has no such symbol"
    if symbol.tri_value:
        return f"is {symbol.str_value}, because of {_selectors(symbol) or 'a choice'}"
    missing = sorted(set(_unmet(symbol.direct_dep)))
    if missing:
        return f"depends on {' and '.join(missing)}"
    if not any(node.prompt for node in symbol.nodes):
        selectors = kconfiglib.expr_str(symbol.rev_dep)[:_MAX_SELECTORS]
        return f"has no prompt, and no symbol that selects it is on: {selectors}"
    return "another setting of the configuration changes it"


def _selectors(symbol: kconfiglib.Symbol) -> str:
    """The symbols that are on and select ``symbol``."""
    if symbol.rev_dep is symbol.kconfig.n:
        return ""
    selecting = (e for e in kconfiglib.split_expr(symbol.rev_dep, kconfiglib.OR))
    return ", ".join(kconfiglib.expr_str(e) for e in selecting if kconfiglib.expr_value(e))


def _unmet(expression: object) -> Iterator[str]:
    """The terms of a conjunction that are false, each with the unmet dependencies of its own."""
    for term in kconfiglib.split_expr(expression, kconfiglib.AND):
        if kconfiglib.expr_value(term):
            continue
        text = kconfiglib.expr_str(term)
        if isinstance(term, kconfiglib.Symbol) and term.nodes:
            deeper = sorted(set(_unmet(term.direct_dep)))
            text += f" (which depends on {' and '.join(deeper)})" if deeper else ""
        elif isinstance(term, tuple) and term[0] is kconfiglib.NOT:
            text = f"{kconfiglib.expr_str(term[1])} being off"
        yield text


@contextmanager
def _kconfig_environment(tree: Path, compiler: str) -> Iterator[None]:
    """Set the variables that the kernel's Makefile exports for Kconfig, and work in ``tree``.

    Kconfig files name each other relative to the top of the tree.
    """
    values = {
        "srctree": str(tree), "ARCH": "x86", "SRCARCH": "x86", "KERNELVERSION": "0",
        "CC": compiler, "LD": "ld", "NM": "nm", "OBJCOPY": "objcopy", "AR": "ar", "RUSTC": "rustc",
        "BINDGEN": "bindgen", "PAHOLE": "pahole", "CC_VERSION_TEXT": compiler, "HOSTCC": compiler,
        "CONFIG_": "CONFIG_",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in values}
    working_directory = Path.cwd()
    try:
        os.environ.update(values)
        os.chdir(tree)
        yield
    finally:
        os.chdir(working_directory)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
