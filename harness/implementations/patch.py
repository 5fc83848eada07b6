# SPDX-License-Identifier: MIT
"""Reads the new files of a patch from a diff, an mbox, a series, or the text of a mail thread.

Quoted lines (``>``) are ignored. When a file is posted several times, the first complete version
counts, or the version asked for, with the changes that later patches of its series make. Damage by
mail programs (encodings, HTML entities, wrapped lines) is repaired where that is unambiguous, and
each repair is reported.
"""

from __future__ import annotations

import html
import quopri
import re
from collections import Counter
from dataclasses import dataclass, field

from harness.implementations.hunks import apply_hunks, read_hunks

__all__ = ["Patch", "read_patch"]

_TARGET = re.compile(r"^\+\+\+ (?:b/)?(\S+)")
_NEW_FILE_HUNK = re.compile(r"^@@ -0,0 \+1(?:,(\d+))? @@")
_SOFT_BREAK = re.compile(rb"=\r?\n")
_QUOTED_PRINTABLE = re.compile(
    rb"^Content-Transfer-Encoding: quoted-printable", re.IGNORECASE | re.MULTILINE
)
_CONTINUED = (",", "(", "&&")  # ends of lines that a mail program may have wrapped
_NEXT_PART = ("diff --git ", "--- ", "@@ ", "From ", "-- ", "index ", "Index: ")
_MAX_LINES = 100_000


@dataclass
class Patch:
    """The new files by path, and the repairs that reading them took."""

    files: dict[str, str] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)

    def add_repair(self, repair: str) -> None:
        """Record a repair, once."""
        if repair not in self.repairs:
            self.repairs.append(repair)


def read_patch(data: bytes, version: int = 1) -> Patch:
    """Read the new files in ``data``; no files when it has no complete, unquoted one.

    When a file is posted several times (v1, v2, ...), ``version`` selects one, counted from 1; a
    file that is posted less often is taken as it was posted last. Changes by later patches of the
    same version are applied; changes in replies are not.
    """
    patch = Patch()
    versions: Counter[str] = Counter()
    lines = _decode(data, patch).splitlines()[:_MAX_LINES]
    is_reply = False
    for index, line in enumerate(lines[:-2]):
        if line.startswith("Subject:"):
            is_reply = line.removeprefix("Subject:").strip().lower().startswith("re:")
        target = _TARGET.match(lines[index + 1]) if line.startswith("--- ") else None
        if target is None:
            continue
        path = target[1]
        if line.startswith("--- /dev/null"):
            body = _new_file(lines, index + 2, patch)
            if body is not None:
                versions[path] += 1
                if versions[path] <= version:
                    patch.files[path] = "".join(f"{line}\n" for line in body)
        elif path in patch.files and versions[path] <= version and not is_reply:
            _change(patch, path, lines, index + 2)
    return patch


def _decode(data: bytes, patch: Patch) -> str:
    """Undo the encodings of mails and web archives."""
    if _QUOTED_PRINTABLE.search(data) or (_SOFT_BREAK.search(data) and b"=3D" in data):
        patch.add_repair("decoded quoted-printable")
        data = quopri.decodestring(data)
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if "+#include &lt;" in text:
        patch.add_repair("replaced HTML entities")
        text = html.unescape(text)
    if "\xa0" in text:
        patch.add_repair("replaced non-breaking spaces")
        text = text.replace("\xa0", " ")
    return text


def _new_file(lines: list[str], index: int, patch: Patch) -> list[str] | None:
    hunk = _NEW_FILE_HUNK.match(lines[index])
    return _added_lines(lines, index + 1, int(hunk[1] or 1), patch) if hunk else None


def _change(patch: Patch, path: str, lines: list[str], index: int) -> None:
    hunks = read_hunks(lines, index)
    changed = apply_hunks(patch.files[path], hunks) if hunks else None
    if changed is None:
        patch.add_repair(f"skipped a later change of {path}, which does not apply")
    else:
        patch.files[path] = changed
        patch.add_repair(f"applied a later change of {path}")


def _added_lines(lines: list[str], index: int, count: int, patch: Patch) -> list[str] | None:
    """The ``count`` lines of a hunk that only adds lines; None when it is incomplete."""
    added: list[str] = []
    while len(added) < count or _is_wrapped(lines, index, count, added):
        if index >= len(lines):
            return None
        line = lines[index]
        index += 1
        if line.startswith("+"):
            added.append(line[1:])
        elif line.startswith((">", *_NEXT_PART)) or not added:
            return None
        elif line.strip():
            # A mail program broke a long line at a blank.
            patch.add_repair("joined wrapped lines")
            added[-1] = f"{added[-1].rstrip()} {line.strip()}"
    return added


def _is_wrapped(lines: list[str], index: int, count: int, added: list[str]) -> bool:
    """Whether the last line of a hunk continues in the next line, which has no sign."""
    if not added or len(added) < count or index >= len(lines):
        return False
    if not added[-1].rstrip().endswith(_CONTINUED):
        return False
    line = lines[index]
    return bool(line.strip()) and line[0] not in "+-@ >" and not line.startswith(_NEXT_PART)
