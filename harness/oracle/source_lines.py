# SPDX-License-Identifier: MIT
"""Finds file and line of stack frames, from debugging information.

A frame is ``function+0xOFFSET/0xSIZE [module]``, as ``lib/vsprintf.c`` prints it (``%pS``). It is
looked up by the function's name, so randomised addresses do not matter.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from harness.elf import read_elf
from harness.errors import BuildError
from harness.sandbox import confine, confined_environment

__all__ = ["Frame", "Location", "SourceLines"]

_FRAME = re.compile(
    # Starts at a word boundary: otherwise a guest could make each line cost its length squared.
    r"(?<![\w.$])(?P<function>[\w.$]{1,256})\+0x(?P<offset>[0-9a-f]{1,16})/0x(?P<size>[0-9a-f]{1,16})"
    r"(?: \[(?P<module>[\w-]{1,64})[^\]]{0,64}\])?"
)
_LOCATION = re.compile(r"(?P<file>[^?].*):(?P<line>[1-9]\d*)(?: \(disc.*)?")
_SECONDS = 60
_MAX_FRAMES = 500
_ALIGNMENT = 64  # bytes: the printed size of a function extends to the next one


@dataclass(frozen=True)
class Location:
    """A line of a source file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Frame:
    """A frame of a stack; ``locations`` are those of the inlined functions, the innermost first."""

    function: str
    module: str
    locations: tuple[Location, ...]

    @property
    def place(self) -> str:
        """The locations as text, or an empty string."""
        return " < ".join(map(str, self.locations))


@dataclass(frozen=True)
class SourceLines:
    """Looks frames up in ``files``: the unstripped file of each module, and of the kernel as "".

    Names of source files are relative to ``root`` where possible. A frame that is not found has
    no locations; nothing here raises.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    root: Path = Path("/")

    @cached_property
    def _symbols(self) -> dict[str, _Symbols]:
        return {name: _read_symbols(path, self.root) for name, path in self.files.items()}

    def frames(self, lines: Iterable[str]) -> list[Frame]:
        """Return the frames in ``lines``, in their order."""
        matches = list(_matches(list(lines)))
        return self._frames([match for _, match in matches])

    def decode(self, lines: Iterable[str]) -> list[str]:
        """Return the lines; ``(file:line)`` follows each frame that is found."""
        texts = list(lines)
        if not self.files:
            return texts
        matches = list(_matches(texts))
        frames = self._frames([match for _, match in matches])
        for (number, match), frame in zip(reversed(matches), reversed(frames), strict=True):
            if frame.locations:
                line = texts[number]
                texts[number] = f"{line[: match.end()]} ({frame.place}){line[match.end() :]}"
        return texts

    def _frames(self, matches: Sequence[re.Match[str]]) -> list[Frame]:
        locations: list[tuple[Location, ...]] = [()] * len(matches)
        for module, symbols in self._symbols.items():
            numbers = [n for n, match in enumerate(matches) if (match["module"] or "") == module]
            found = symbols.locations([matches[n] for n in numbers])
            for number, each in zip(numbers, found, strict=True):
                locations[number] = each
        return [
            Frame(match["function"], match["module"] or "", found)
            for match, found in zip(matches, locations, strict=True)
        ]


def _matches(lines: Sequence[str]) -> Iterator[tuple[int, re.Match[str]]]:
    """Yield the first frames in the lines, each with the number of its line."""
    count = 0
    for number, line in enumerate(lines):
        if "+0x" not in line:
            continue
        for match in _FRAME.finditer(line):
            if count == _MAX_FRAMES:
                return
            count += 1
            yield number, match


@lru_cache(maxsize=16)
def _read_symbols(path: Path, root: Path) -> _Symbols:
    """Read a file once for all cells: a symbol table takes a tenth of a second."""
    return _Symbols(path, root)


class _Symbols:
    """The functions of one ELF file, by name and size."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._root = f"{root}".rstrip("/")
        self._functions: dict[str, list[tuple[int, tuple[str, int]]]] = {}
        try:
            with read_elf(path) as elf:
                self._read(elf)
        except (OSError, BuildError):
            pass  # its frames have no locations

    def _read(self, elf: ELFFile) -> None:
        table = elf.get_section_by_name(".symtab")
        if not isinstance(table, SymbolTableSection):
            return
        relocatable = elf["e_type"] == "ET_REL"
        for symbol in table.iter_symbols():
            index = symbol["st_shndx"]
            if symbol["st_info"]["type"] != "STT_FUNC" or not isinstance(index, int):
                continue
            section = elf.get_section(index).name if relocatable else ""
            address = (section, symbol["st_value"])
            self._functions.setdefault(symbol.name, []).append((symbol["st_size"], address))

    def locations(self, frames: Sequence[re.Match[str]]) -> list[tuple[Location, ...]]:
        """Return the locations of each frame."""
        wanted = [self._address(frame) for frame in frames]
        found: dict[tuple[str, int], tuple[Location, ...]] = {}
        for section in {each[0] for each in wanted if each}:
            addresses = sorted({each[1] for each in wanted if each and each[0] == section})
            answers = self._addr2line(section, addresses)
            for address, answer in zip(addresses, answers, strict=False):
                found[section, address] = answer
        return [found.get(each, ()) if each else () for each in wanted]

    def _address(self, frame: re.Match[str]) -> tuple[str, int] | None:
        """Return the section and the offset of the frame's instruction."""
        size = int(frame["size"], 16)
        for own_size, (section, start) in self._functions.get(frame["function"], []):
            if own_size <= size < own_size + _ALIGNMENT:
                # A return address is behind the call instruction; RIP is at its instruction, as
                # is the address of a WARN(), which is a trap.
                back = 0 if frame.string.startswith(("RIP:", "WARNING:")) else 1
                return section, start + int(frame["offset"], 16) - back
        return None

    def _addr2line(self, section: str, addresses: list[int]) -> list[tuple[Location, ...]]:
        command = ["addr2line", "-a", "-i", "-e", str(self._path)]
        command += [f"--section={section}"] if section else []
        try:
            done = subprocess.run(
                confine([*command, *map(hex, addresses)], readable=[self._path]),
                env=confined_environment(Path("/tmp")),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        # Each address is printed, then its line, then those of the callers it is inlined into.
        blocks = re.split(r"^0x[0-9a-f]+\n", done.stdout, flags=re.MULTILINE)[1:]
        return [self._parse(block.splitlines()) for block in blocks]

    def _parse(self, lines: Iterable[str]) -> tuple[Location, ...]:
        found = (match for line in lines if (match := _LOCATION.fullmatch(line)))
        return tuple(
            Location(match["file"].removeprefix(self._root).lstrip("/"), int(match["line"]))
            for match in found
        )
