# SPDX-License-Identifier: MIT
"""Reads the sources of an implementation: symbols, compiler warnings, Coccinelle matches."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.cache import Cache
from harness.errors import BuildError, HostError
from harness.implementations.model import ModuleSource
from harness.implementations.shims import build_with_shims
from harness.kernels.model import Kernel
from harness.kernels.module_build import build_module, module_compiler
from harness.kernels.toolchain import compiler_version

__all__ = ["SourceText"]

_LAYOUT = "3"
# Kernels initialise automatic variables, after which the compiler warns less.
_WARNINGS = ("-Wuninitialized", "-Wmaybe-uninitialized", "-ftrivial-auto-var-init=uninitialized")
_WARNING = re.compile(r"^(?P<path>\S+?:\d+:\d+): warning: (?P<text>.*)")
_SPATCH_SECONDS = 120
_HUNK = re.compile(r"^@@ -(\d+)")
# The syntax of linux/cleanup.h, as macros and attributes that Coccinelle can parse.
_MACROS = "#define scoped_guard(name, lock) if (1)\n#define DEFINE_MUTEX(name) struct mutex name\n"
_ATTRIBUTE = re.compile(r"\s__free\(\w+\)")


@dataclass(frozen=True)
class SourceText:
    """The sources of a module, compiled against ``kernel``."""

    source: ModuleSource
    kernel: Kernel
    cache: Cache

    def symbols(self) -> frozenset[str]:
        """The functions and variables that the module imports.

        Raises :class:`BuildError` with the compiler's errors, as :meth:`warnings` does.
        """
        return frozenset(self._compiled()["undefined"])

    def warnings(self) -> tuple[str, ...]:
        """The compiler's warnings about values that may be used uninitialised."""
        return tuple(self._compiled()["warnings"])

    def find(self, rule: Path) -> tuple[str, ...]:
        """The matches of the semantic patch ``rule``, each as ``file:line: text``.

        Raises :class:`HostError` when spatch is not installed or cannot parse the rule.
        """
        with tempfile.TemporaryDirectory() as name:
            tree = Path(name)
            self.source.write(tree)
            (tree / "macros").write_text(_MACROS, encoding="ascii")
            found: list[str] = []
            for file in sorted(tree.rglob("*.c")):
                text = file.read_text(encoding="utf-8", errors="replace")
                file.write_text(_ATTRIBUTE.sub("", text), encoding="utf-8")
                found += _matches(_spatch(rule, file, tree / "macros"), file.relative_to(tree))
        return tuple(found)

    def _compiled(self) -> dict[str, list[str]]:
        compiler = compiler_version(module_compiler(self.kernel))
        inputs = (_LAYOUT, _WARNINGS, self.source.digest, self.kernel.digest, compiler)
        key = hashlib.sha256(repr(inputs).encode()).hexdigest()
        made = self.cache.get_or_make("text", key, self._compile)
        results: dict[str, list[str]] = json.loads((made / "text.json").read_bytes())
        return results

    def _compile(self, directory: Path) -> None:
        tree = directory / "tree"
        module = self.source.write(tree)
        output: list[str] = []
        build_with_shims(
            module,
            (*_WARNINGS, f"-ffile-prefix-map={tree}/="),
            lambda flags: output.append(build_module(self.kernel, module, flags)),
        )
        undefined = sorted({name for path in module.glob("*.ko") for name in _undefined(path)})
        warnings = [
            f"{Path(found['path']).name}: {found['text']}"
            for found in map(_WARNING.match, "".join(output).splitlines())
            if found and "uninitialized" in found["text"]
        ]
        shutil.rmtree(tree)
        (directory / "text.json").write_text(
            json.dumps({"undefined": undefined, "warnings": warnings}), encoding="utf-8"
        )


def _undefined(module: Path) -> list[str]:
    with module.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise BuildError(f"{module.name} has no symbol table")
        undefined = (s for s in table.iter_symbols() if s["st_shndx"] == "SHN_UNDEF")
        return [symbol.name for symbol in undefined if symbol.name]


def _spatch(rule: Path, file: Path, macros: Path) -> str:
    command = ["spatch", "--very-quiet", "--no-includes", "--macro-file", str(macros),
               "--sp-file", str(rule), str(file)]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SPATCH_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise HostError(
            "this host has no spatch, which claims about source text need",
            hint="run `make setup`, or install the package coccinelle",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise HostError(f"spatch did not finish {rule.name} within {_SPATCH_SECONDS} s") from error
    if done.returncode:
        raise HostError(f"spatch cannot use {rule.name}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _matches(diff: str, file: Path) -> list[str]:
    """The lines that a semantic match marks: its diff removes them."""
    found, line = [], 0
    for text in diff.splitlines():
        if hunk := _HUNK.match(text):
            line = int(hunk[1])
        elif line and text.startswith("-"):
            found.append(f"{file}:{line}: {text[1:].strip()}")
        if line and not hunk:
            line += 1
    return found
