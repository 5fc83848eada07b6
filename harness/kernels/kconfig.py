# SPDX-License-Identifier: MIT
"""Kconfig fragments: what is wanted, whether it survived, and what dropped the rest."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import kconfiglib

from harness.paths import guest_images_directory

__all__ = ["explain", "fragment", "lost", "wanted"]

_NEWER = re.compile(r"^([ \t]+)(modules|transitional)[ \t]*$", re.MULTILINE)
_OLDER = {"modules": "{}option modules", "transitional": ""}
_SET = re.compile(r"^CONFIG_(\w+)=(.*)$")
_UNSET = re.compile(r"^# CONFIG_(\w+) is not set$")


def fragment(name: str) -> str:
    """The text of one of the project's fragments."""
    return (guest_images_directory() / "config" / f"{name}.config").read_text(encoding="utf-8")


def wanted(text: str) -> dict[str, str]:
    """The settings of a configuration or a fragment; ``n`` for what it says is not set."""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        if match := _SET.match(line):
            settings[match[1]] = match[2]
        elif match := _UNSET.match(line):
            settings[match[1]] = "n"
    return settings


def lost(fragment_text: str, config: str) -> list[str]:
    """The symbols of a fragment that do not have its setting in ``config``; m is as good as y."""
    have = wanted(config)
    missing = []
    for symbol, setting in wanted(fragment_text).items():
        got = have.get(symbol, "n")
        if got != setting and {got, setting} != {"m", "y"}:
            missing.append(symbol)
    return missing


def explain(tree: Path, config: Path, symbols: Sequence[str], compiler: str) -> list[str]:
    """One line for each symbol: what its setting lacked, as the tree's Kconfig has it.

    A tree whose Kconfig is not understood gives the names alone.
    """
    try:
        with _environment(tree, compiler):
            kconfig = _Kconfig("Kconfig", warn=False)
            kconfig.load_config(str(config))
            return [f"{name}: {_lacks(kconfig, name)}" for name in symbols]
    except (kconfiglib.KconfigError, kconfiglib._KconfigIOError, OSError, UnicodeError, ValueError):
        return [f"{name}: its dependencies could not be read" for name in symbols]


class _Kconfig(kconfiglib.Kconfig):  # type: ignore[misc] # it has no types
    """Reads what the language got after the library's last release (kconfig-language.rst)."""

    def _open(self, filename: str, mode: str) -> IO[str]:
        file: IO[str] = super()._open(filename, mode)
        if mode != "r" or not Path(filename).name.startswith("Kconfig"):
            return file
        with file:
            text = _NEWER.sub(lambda match: _OLDER[match[2]].format(match[1]), file.read())
        return io.StringIO(text)


def _lacks(kconfig: kconfiglib.Kconfig, name: str) -> str:
    symbol = kconfig.syms.get(name)
    if symbol is None or not symbol.nodes:
        return "this tree has no such symbol"
    if symbol.tri_value:
        return f"is {symbol.str_value}, because of {_setters(symbol) or 'a choice'}"
    missing = sorted(set(_unmet(symbol.direct_dep)))
    if missing:
        return f"depends on {' and '.join(missing)}"
    if not any(node.prompt for node in symbol.nodes):
        selectors = kconfiglib.expr_str(symbol.rev_dep)
        return f"has no prompt and nothing selects it; what would: {selectors[:200]}"
    return "was changed by something else in the configuration"


def _setters(symbol: kconfiglib.Symbol) -> str:
    if symbol.rev_dep is symbol.kconfig.n:
        return ""
    selecting = (e for e in kconfiglib.split_expr(symbol.rev_dep, kconfiglib.OR))
    return ", ".join(kconfiglib.expr_str(e) for e in selecting if kconfiglib.expr_value(e))


def _unmet(expression: object) -> Iterator[str]:
    """The terms of a conjunction that do not hold, as far down as one symbol decides."""
    for term in kconfiglib.split_expr(expression, kconfiglib.AND):
        if kconfiglib.expr_value(term):
            continue
        words = kconfiglib.expr_str(term)
        if isinstance(term, kconfiglib.Symbol) and term.nodes:
            deeper = sorted(set(_unmet(term.direct_dep)))
            words += f" (which depends on {' and '.join(deeper)})" if deeper else ""
        elif isinstance(term, tuple) and term[0] is kconfiglib.NOT:
            words = f"{kconfiglib.expr_str(term[1])} being off"
        yield words


@contextmanager
def _environment(tree: Path, compiler: str) -> Iterator[None]:
    """What the kernel's Makefile tells Kconfig; its Kconfig files are named from ``tree``."""
    values = {
        "srctree": str(tree), "ARCH": "x86", "SRCARCH": "x86", "KERNELVERSION": "0",
        "CC": compiler, "LD": "ld", "NM": "nm", "OBJCOPY": "objcopy", "AR": "ar", "RUSTC": "rustc",
        "BINDGEN": "bindgen", "PAHOLE": "pahole", "CC_VERSION_TEXT": compiler, "HOSTCC": compiler,
        "CONFIG_": "CONFIG_",
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in values}
    here = Path.cwd()
    try:
        os.environ.update(values)
        os.chdir(tree)
        yield
    finally:
        os.chdir(here)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
