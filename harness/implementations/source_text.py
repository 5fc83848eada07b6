# SPDX-License-Identifier: MIT
"""The text of a TSM core, for claims that reading decides: what compiler and Coccinelle say.

Of our own class the text is that of one choice of defects: the compiler sees them as constants.
"""

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
from harness.implementations.defects import defects_of
from harness.implementations.modules import make_module
from harness.implementations.shims import build_with_shims
from harness.implementations.spec import Implementation
from harness.implementations.user import read_user_implementation, write_sources
from harness.kernels.model import Kernel
from harness.kernels.toolchain import compiler_version
from harness.paths import guest_images_directory

__all__ = ["SourceText"]

_LAYOUT = "2"
_OWN = ("tsm-class", "common")  # the module, and what it takes from beside it
# Kernels have the compiler clear what was not set, and then it says less of it.
_WARNINGS = "-Wuninitialized -Wmaybe-uninitialized -ftrivial-auto-var-init=uninitialized"
_WARNING = re.compile(r"^(?P<path>\S+?:\d+:\d+): warning: (?P<words>.*)")
_SPATCH_SECONDS = 120
_HUNK = re.compile(r"^@@ -(\d+)")
# What cleanup.h adds to the language, in words that Coccinelle knows.
_MACROS = "#define scoped_guard(name, lock) if (1)\n#define DEFINE_MUTEX(name) struct mutex name\n"
_ATTRIBUTE = re.compile(r"\s__free\(\w+\)")


@dataclass(frozen=True)
class SourceText:
    """The sources of ``core``, read as ``kernel`` would have them built."""

    core: Implementation
    kernel: Kernel
    cache: Cache

    def symbols(self) -> frozenset[str]:
        """The functions and variables the core takes from elsewhere.

        Raises :class:`BuildError` with the compiler's words, as :meth:`warnings` does.
        """
        return frozenset(self._built()["undefined"])

    def warnings(self) -> tuple[str, ...]:
        """What the compiler says of values that are used and were perhaps never set."""
        return tuple(self._built()["warnings"])

    def find(self, rule: Path) -> tuple[str, ...]:
        """Where the semantic patch ``rule`` matches: ``file:line: text``.

        Raises :class:`HostError` when Coccinelle is not there or does not understand the rule.
        """
        with tempfile.TemporaryDirectory() as name:
            tree = Path(name)
            self._write(tree)
            (tree / "macros").write_text(_MACROS, encoding="ascii")
            found: list[str] = []
            for file in sorted(tree.rglob("*.c")):
                text = file.read_text(encoding="utf-8", errors="replace")
                file.write_text(_ATTRIBUTE.sub("", text), encoding="utf-8")
                found += _matched(_spatch(rule, file, tree / "macros"), file.relative_to(tree))
        return tuple(found)

    def _built(self) -> dict[str, list[str]]:
        words = repr((_LAYOUT, _WARNINGS, self.core.defects, self.kernel.digest))
        digest = hashlib.sha256(words.encode() + compiler_version("make").encode())
        for name, text in self._files():
            digest.update(repr((name, text)).encode())
        made = self.cache.get_or_make("text", digest.hexdigest(), self._build)
        read: dict[str, list[str]] = json.loads((made / "text.json").read_bytes())
        return read

    def _build(self, directory: Path) -> None:
        tree = directory / "core"
        module = self._write(tree)
        said: list[str] = []
        flags = f"KCFLAGS={_WARNINGS} -ffile-prefix-map={tree}/="
        build_with_shims(
            module, flags, lambda words: said.append(make_module(self.kernel, module, words))
        )
        undefined = sorted({name for path in module.glob("*.ko") for name in _undefined(path)})
        warnings = [
            f"{Path(match['path']).name}: {match['words']}"
            for match in map(_WARNING.match, "".join(said).splitlines())
            if match and "uninitialized" in match["words"]
        ]
        shutil.rmtree(tree)
        (directory / "text.json").write_text(
            json.dumps({"undefined": undefined, "warnings": warnings}), encoding="utf-8"
        )

    def _files(self) -> list[tuple[str, str]]:
        if self.core.kind == "user":
            return list(read_user_implementation(self.core.name).files)
        own = guest_images_directory() / "modules"
        files = [path for name in _OWN for path in (own / name).rglob("*") if path.is_file()]
        return [
            (str(path.relative_to(own)), path.read_text(encoding="utf-8")) for path in sorted(files)
        ]

    def _write(self, tree: Path) -> Path:
        """Write the sources below ``tree``; the directory of the module."""
        if self.core.kind == "user":
            write_sources(read_user_implementation(self.core.name), tree)
            return tree
        for name, text in self._files():
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        module = tree / _OWN[0]
        known = defects_of("class")
        switches = [f"BIT(DEFECT_{known[name].identifier})" for name in self.core.defects]
        with (module / "Kbuild").open("a", encoding="utf-8") as kbuild:
            kbuild.write(f"ccflags-y += '-DTSM_DEFECTS=({'|'.join(switches) or 0})'\n")
        return module


def _undefined(module: Path) -> list[str]:
    with module.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            raise BuildError(f"{module.name} has no symbols")
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
        raise HostError("there is no spatch to read the core with", hint="run `make setup`, or "
                        "install the package coccinelle") from error  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise HostError(f"spatch did not end in {_SPATCH_SECONDS} s") from error
    if done.returncode:
        raise HostError(f"spatch does not understand {rule.name}: {done.stderr.strip()[-500:]}")
    return done.stdout


def _matched(diff: str, file: Path) -> list[str]:
    """The lines that a semantic match marks: they are the ones its diff takes out."""
    found, line = [], 0
    for text in diff.splitlines():
        if hunk := _HUNK.match(text):
            line = int(hunk[1])
        elif line and text.startswith("-"):
            found.append(f"{file}:{line}: {text[1:].strip()}")
        if line and not hunk:
            line += 1
    return found
