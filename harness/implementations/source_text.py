# SPDX-License-Identifier: MIT
"""Reads the sources of an implementation: symbols, compiler warnings, proofs of defects."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, Symbol, SymbolTableSection

from harness.cache import Cache
from harness.elf import read_elf
from harness.errors import BuildError
from harness.implementations.gimple import DUMP_FLAGS, Function, parse_dump
from harness.implementations.model import ModuleSource
from harness.implementations.path_proofs import Proof, Symbols, prove
from harness.implementations.shims import build_with_shims
from harness.kernels.model import Kernel
from harness.kernels.module_build import build_module, module_compiler
from harness.kernels.toolchain import compiler_version

__all__ = ["SourceText"]

_LAYOUT = "13"
# Kernels initialise automatic variables, after which the compiler warns less. The flag is the last
# one, because the Kbuild file of the source may ask for an initialisation too.
_UNINITIALISED = "-ftrivial-auto-var-init=uninitialized"
# Of the two warnings this one is a proof: the variable is used whenever the function runs.
_WARNINGS = ("-Wuninitialized",)
_WARNING = re.compile(r"^(?P<path>\S+?:\d+:\d+): warning: (?P<text>.*)")
_ONCE = (".init.text", ".exit.text")
_SMALL = 8  # bytes of a variable whose value is read from the object file


@dataclass(frozen=True)
class SourceText:
    """The sources of a module, compiled against ``kernel``.

    Every method raises :class:`BuildError` with the compiler's errors: a source that does not
    build has no verdict.
    """

    source: ModuleSource
    kernel: Kernel
    cache: Cache

    def symbols(self) -> frozenset[str]:
        """The functions and variables that the module imports."""
        return frozenset(self._compiled()["undefined"])

    def warnings(self) -> tuple[str, ...]:
        """The compiler's warnings about variables that are used uninitialised."""
        return tuple(self._compiled()["warnings"])

    def kept_pointers(self) -> tuple[str, ...]:
        """The lines that free memory which is proved to be freed again or used afterwards."""
        return tuple(self._compiled()["kept"])

    def unset_results(self) -> tuple[str, ...]:
        """The lines that are proved to return a variable which was not set."""
        return tuple(self._compiled()["unset"])

    def _compiled(self) -> dict[str, list[str]]:
        compiler = compiler_version(module_compiler(self.kernel))
        flags = (*_WARNINGS, *DUMP_FLAGS)
        inputs = (_LAYOUT, flags, self.source.digest, self.kernel.digest, compiler)
        key = hashlib.sha256(repr(inputs).encode()).hexdigest()
        made = self.cache.get_or_make("text", key, self._compile)
        results: dict[str, list[str]] = json.loads((made / "text.json").read_bytes())
        return results

    def _compile(self, directory: Path) -> None:
        tree = directory / "tree"
        module = self.source.write(tree)
        with (module / "Kbuild").open("a", encoding="utf-8") as kbuild:
            kbuild.write(f"\nccflags-y += {_UNINITIALISED}\n")
        _, output = build_with_shims(
            module,
            (*_WARNINGS, *DUMP_FLAGS, f"-ffile-prefix-map={tree}/="),
            lambda flags: build_module(self.kernel, module, flags, readable=[tree]),
        )
        built = list(module.glob("*.ko"))
        texts = {relpath(tree / name, module): text for name, text in self.source.files}
        kept, unset = prove(_functions(module), self._own(tree, module), _symbols(built))
        results = {
            "undefined": sorted({name for path in built for name in _undefined(path)}),
            "warnings": [
                f"{Path(found['path']).name}: {found['text']}"
                for found in map(_WARNING.match, output.splitlines())
                if found and "is used uninitialized" in found["text"]
            ],
            "kept": [_quoted(proof, texts) for proof in kept],
            "unset": [_quoted(proof, texts) for proof in unset],
        }
        shutil.rmtree(tree)
        (directory / "text.json").write_text(json.dumps(results), encoding="utf-8")

    def _own(self, tree: Path, module: Path) -> frozenset[str]:
        files = (name for name, _ in self.source.files if name.endswith(".c"))
        return frozenset(relpath(tree / name, module) for name in files)


def _functions(module: Path) -> list[Function]:
    """The functions in every dump of the compiler, with file names relative to ``module``."""
    dumps = sorted(path for path in module.rglob("*.cfg") if ".mod.c" not in path.name)
    functions: list[Function] = []
    for path in dumps:
        text = path.read_text(encoding="utf-8", errors="replace")
        functions += parse_dump(text.replace(f"[{module}/", "["), path.name)
    return functions


def _quoted(proof: Proof, texts: Mapping[str, str]) -> str:
    """A proof with the text of its line, which is empty outside the sources in ``texts``.

    A ``#line`` directive of the source may name any file of this host.
    """
    name, _, number = proof.line.rpartition(":")
    lines = texts.get(name, "").splitlines()
    text = lines[int(number) - 1].strip() if int(number) <= len(lines) else ""
    return f"{proof.line}: {text} ({proof.effect})"


def _symbols(modules: list[Path]) -> Symbols:
    exported, once = set(), set()
    values: dict[str, int] = {}
    for path in modules:
        with read_elf(path) as elf:
            for symbol, section in _defined(elf, path):
                kind = symbol["st_info"]["type"]
                if kind == "STT_FUNC" and section.name in _ONCE:
                    once.add(symbol.name)
                elif kind == "STT_FUNC" and symbol["st_info"]["bind"] == "STB_GLOBAL":
                    exported.add(symbol.name)
                elif kind == "STT_OBJECT" and 0 < symbol["st_size"] <= _SMALL:
                    values |= _value_of(elf, symbol, section)
    return Symbols(frozenset(exported), frozenset(once), values)


def _value_of(elf: ELFFile, symbol: Symbol, section: Section) -> dict[str, int]:
    """The value of a variable when the module is loaded, unless it is an address."""
    if section["sh_type"] == "SHT_NOBITS":
        return {symbol.name: 0}
    if elf.get_section_by_name(f".rela{section.name}") is not None:
        return {}
    start = symbol["st_value"]
    data = section.data()[start : start + symbol["st_size"]]
    return {symbol.name: int.from_bytes(data, "little")}


def _table(elf: ELFFile, module: Path) -> SymbolTableSection:
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        raise BuildError(f"{module.name} has no symbol table")
    return table


def _defined(elf: ELFFile, module: Path) -> list[tuple[Symbol, Section]]:
    symbols = [s for s in _table(elf, module).iter_symbols() if isinstance(s["st_shndx"], int)]
    return [(symbol, elf.get_section(symbol["st_shndx"])) for symbol in symbols]


def _undefined(module: Path) -> list[str]:
    with read_elf(module) as elf:
        symbols = _table(elf, module).iter_symbols()
        return [s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF" and s.name]
