# SPDX-License-Identifier: MIT
"""From the frames of a kernel's stack to file and line, where there is debugging information.

A frame is ``function+0xOFFSET/0xSIZE [module]``, as ``lib/vsprintf.c`` prints it (``%pS``). It is
resolved by the function's name, so an address that was randomised does not matter.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

__all__ = ["SourceLines"]

_FRAME = re.compile(
    # Begins where a word does: a guest that prints long ones costs no more than their length.
    r"(?<![\w.$])(?P<function>[\w.$]{1,256})\+0x(?P<offset>[0-9a-f]{1,16})/0x(?P<size>[0-9a-f]{1,16})"
    r"(?: \[(?P<module>[\w-]{1,64})[^\]]{0,64}\])?"
)
_SECONDS = 60
_MOST_FRAMES = 500
_ALIGNMENT = 64  # what the kernel prints as the size reaches to the next function


@dataclass(frozen=True)
class SourceLines:
    """Looks frames up in ``files``: the unstripped file of each module, the kernel's under "".

    Sources below ``root`` are named from there. A frame that cannot be found is left as it is;
    nothing here raises.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    root: Path = Path("/")

    @cached_property
    def _known(self) -> dict[str, _Symbols]:
        return {name: _Symbols(path, self.root) for name, path in self.files.items()}

    def decode(self, lines: Iterable[str]) -> list[str]:
        """The lines, each frame followed by ``(file:line)``, callers it is inlined into last."""
        texts = list(lines)
        if not self.files:
            return texts
        frames = [(number, match) for number, match in _frames(texts)][:_MOST_FRAMES]
        places = self._places([match for _, match in frames])
        for (number, match), place in zip(reversed(frames), reversed(places), strict=True):
            if place:
                line = texts[number]
                texts[number] = f"{line[: match.end()]} ({place}){line[match.end() :]}"
        return texts

    def _places(self, frames: list[re.Match[str]]) -> list[str]:
        places = [""] * len(frames)
        for module, symbols in self._known.items():
            numbers = [n for n, frame in enumerate(frames) if (frame["module"] or "") == module]
            found = symbols.lines(frames[n] for n in numbers)
            for number, place in zip(numbers, found, strict=True):
                places[number] = place
        return places


def _frames(lines: list[str]) -> Iterator[tuple[int, re.Match[str]]]:
    for number, line in enumerate(lines):
        if "+0x" not in line:
            continue
        for match in _FRAME.finditer(line):
            yield number, match


class _Symbols:
    """The functions of one ELF file, by name and size."""

    def __init__(self, path: Path, root: Path) -> None:
        self._path = path
        self._root = f"{root}".rstrip("/")
        self._functions: dict[str, list[tuple[int, tuple[str, int]]]] = {}
        try:
            with path.open("rb") as file:
                self._read(ELFFile(file))
        except (OSError, ELFError):
            pass  # an address without a name is what it would have been anyway

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
            place = (section, symbol["st_value"])
            self._functions.setdefault(symbol.name, []).append((symbol["st_size"], place))

    def lines(self, frames: Iterable[re.Match[str]]) -> list[str]:
        """``file:line`` of each frame, empty where it is not known."""
        wanted = [self._address(frame) for frame in frames]
        found: dict[tuple[str, int], str] = {}
        for section in {at[0] for at in wanted if at}:
            addresses = sorted({at[1] for at in wanted if at and at[0] == section})
            for address, line in zip(addresses, self._ask(section, addresses), strict=False):
                found[section, address] = line
        return [found.get(at, "") if at else "" for at in wanted]

    def _address(self, frame: re.Match[str]) -> tuple[str, int] | None:
        """The section and offset of the instruction a frame is about."""
        size = int(frame["size"], 16)
        for own, (section, start) in self._functions.get(frame["function"], []):
            if own <= size < own + _ALIGNMENT:
                # A return address belongs to the instruction before it.
                back = 0 if frame.string.startswith("RIP:") else 1
                return section, start + int(frame["offset"], 16) - back
        return None

    def _ask(self, section: str, addresses: list[int]) -> list[str]:
        command = ["addr2line", "-a", "-i", "-e", str(self._path)]
        command += [f"--section={section}"] if section else []
        try:
            done = subprocess.run(
                [*command, *map(hex, addresses)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return []
        # Each address is told, and then the line it is of, and those that this one is inlined at.
        blocks = re.split(r"^0x[0-9a-f]+\n", done.stdout, flags=re.MULTILINE)[1:]
        return [_chain(block.splitlines(), self._root) for block in blocks]


def _chain(places: list[str], root: str) -> str:
    known = [place.partition(" (disc")[0] for place in places if not place.startswith("?")]
    short = [
        place.removeprefix(root).lstrip("/") for place in known if not place.endswith((":0", ":?"))
    ]
    return " < ".join(short)
