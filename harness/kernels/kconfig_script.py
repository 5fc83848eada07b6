# SPDX-License-Identifier: MIT
"""Prints why a kernel tree's Kconfig dropped symbols. It runs confined, in a process of its own.

Arguments: the directory of kconfiglib, the configuration, and the symbols. The working directory is
the tree, since Kconfig files name each other relative to its top.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    sys.path.append(sys.argv[1])

import kconfiglib

__all__ = ["main"]

_NEW_SYNTAX = re.compile(r"^([ \t]+)(modules|transitional)[ \t]*$", re.MULTILINE)
_OLD_SYNTAX = {"modules": "{}option modules", "transitional": ""}
_MAX_SELECTORS = 200  # characters of an expression in a message


def main(config: str, symbols: list[str]) -> None:
    """Print one line for each symbol."""
    kconfig = _Kconfig("Kconfig", warn=False)
    kconfig.load_config(config)
    for name in symbols:
        print(" ".join(f"{name}: {_explain(kconfig, name)}".split()))


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


if __name__ == "__main__":
    main(sys.argv[2], sys.argv[3:])
