# SPDX-License-Identifier: MIT
"""Reads ELF files, which the build of a stranger's sources may have damaged on purpose.

elftools raises errors of many kinds for such files, and takes sizes as they stand.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from elftools.elf.elffile import ELFFile

from harness.errors import BuildError, TsmHarnessError

__all__ = ["read_elf"]

_HEADER_BYTES = {32: 40, 64: 64}  # of a section, by the class of the file
_SYMBOL_BYTES = {32: 16, 64: 24}
_COMPRESSED = 0x800  # SHF_COMPRESSED
_MOST_SECTIONS = 0xFF00


@contextmanager
def read_elf(source: Path | bytes, name: str = "") -> Iterator[ELFFile]:
    """Open an ELF file, whose path or content is ``source``; ``name`` is for messages.

    Raises :class:`OSError` when it cannot be opened. Reading a damaged file inside the block
    raises :class:`BuildError`, and ends in time and memory that are bounded by its size.
    """
    name = name or (source.name if isinstance(source, Path) else "a file")
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        try:
            elf = ELFFile(file)
            _check_sizes(elf, file.seek(0, io.SEEK_END))
            yield elf
        except TsmHarnessError:
            raise
        except Exception as error:
            raise BuildError(
                f"{name} is damaged, or is not an ELF file: {error}",
                hint="build or install it again; a Makefile of its own may have replaced it",
            ) from error


def _check_sizes(elf: ELFFile, size: int) -> None:
    """Check what elftools takes as the length of a loop or of a buffer."""
    header = elf.header["e_shentsize"]
    if elf.num_sections() > _MOST_SECTIONS or header not in (0, _HEADER_BYTES[elf.elfclass]):
        raise ValueError(f"its section headers have {header} bytes each")
    if header == 0 and elf.num_sections():
        raise ValueError("its section headers have no bytes")
    for section in elf.iter_sections():
        table = section["sh_type"] in ("SHT_SYMTAB", "SHT_DYNSYM")
        if table and section["sh_entsize"] != _SYMBOL_BYTES[elf.elfclass]:
            raise ValueError(f"its symbols have {section['sh_entsize']} bytes each")
        if section["sh_type"] != "SHT_NOBITS" and section["sh_size"] > size:
            raise ValueError(f"section {section.name} is larger than the file")
        if section["sh_flags"] & _COMPRESSED and not section.name.startswith(".debug"):
            raise ValueError(f"section {section.name} is compressed")
