# SPDX-License-Identifier: MIT
"""Quotes lines of the code under test: of an implementation's files, or of a kernel's source tree.

Files are named as debug information names them: see :mod:`harness.oracle.source_lines`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.oracle.source_lines import Frame
from harness.verdict import SourceExcerpt

__all__ = ["IMPLEMENTATION", "SourceFiles"]

IMPLEMENTATION = "implementation"
"""The directory of an implementation's sources in debug information."""

_OF_KERNEL = PurePosixPath("drivers/virt/coco")
_AROUND = 1  # lines before and after the one at fault
_MAX_LINE = 200  # characters


@dataclass(frozen=True)
class SourceFiles:
    """The sources of the code under test.

    ``texts`` are the files of the implementation, by the path below :data:`IMPLEMENTATION`.
    ``trees`` are source trees of the kernel; only drivers/virt/coco is the code under test.
    """

    texts: Mapping[str, str] = field(default_factory=dict)
    trees: tuple[Path, ...] = ()

    def first_excerpt(self, frames: Iterable[Frame]) -> SourceExcerpt | None:
        """Quote the first frame, or function inlined into it, that is code under test."""
        for frame in frames:
            for location in frame.locations:
                found = self.excerpt(location.file, location.line, frame.function)
                if found is not None:
                    return found
        return None

    def excerpt_at(self, place: str) -> SourceExcerpt | None:
        """Quote ``FILE:LINE`` of the implementation; FILE may lack its leading directories."""
        file, _, line = place.rpartition(":")
        matching = (name for name in self.texts if f"/{name}".endswith(f"/{file}"))
        name = next(matching, None) if file and line.isdecimal() else None
        return self.excerpt(f"{IMPLEMENTATION}/{name}", int(line)) if name else None

    def excerpt(self, file: str, line: int, function: str = "") -> SourceExcerpt | None:
        """Quote ``line`` of ``file`` with its neighbours; None unless it is code under test."""
        lines = self._text(file).splitlines()
        if not 0 < line <= len(lines):
            return None
        first = max(1, line - _AROUND)
        quoted = lines[first - 1 : line + _AROUND]
        return SourceExcerpt(
            function, file, line, first, tuple(each[:_MAX_LINE] for each in quoted)
        )

    def _text(self, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_relative_to(IMPLEMENTATION):
            return self.texts.get(str(path.relative_to(IMPLEMENTATION)), "")
        if not path.is_relative_to(_OF_KERNEL) or ".." in path.parts:
            return ""
        for tree in self.trees:
            try:
                found = (tree / path).resolve()
                # The tree may be a stranger's: a link in it could lead to any file of this host.
                if found.is_relative_to(tree.resolve()) and found.is_file():
                    return found.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
        return ""
