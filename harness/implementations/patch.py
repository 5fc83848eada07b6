# SPDX-License-Identifier: MIT
"""The new files of a patch, however it arrives: a diff, an mbox, a series, the text of a thread.

Lines of replies (quoted with ``>``) are no patch. Of several postings of a file the first whole one
counts, or the one asked for, with what later patches of its series change in it. What mail does to
patches is undone where that is certain, and told: encodings, HTML entities, wrapped lines.
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
_HUNK = re.compile(r"^@@ -0,0 \+1(?:,(\d+))? @@")
_SOFT_BREAK = re.compile(rb"=\r?\n")
_MAX_LINES = 100_000


@dataclass
class Patch:
    """The new files by path, and what had to be mended to read them."""

    files: dict[str, str] = field(default_factory=dict)
    mended: list[str] = field(default_factory=list)

    def mend(self, what: str) -> None:
        """Note a repair, once."""
        if what not in self.mended:
            self.mended.append(what)


def read_patch(data: bytes, wanted_one: int = 1) -> Patch:
    """Find the new files in ``data``; none when it has no whole, unquoted new file.

    Of a file that is posted several times (as v1, v2, ...) ``wanted_one`` says which, counted from
    1; one that is posted less often is taken as it was posted last. What later patches of the same
    posting change in it is changed; what a reply proposes is not.
    """
    posting = Patch()
    seen: Counter[str] = Counter()
    lines = _text(data, posting).splitlines()[:_MAX_LINES]
    reply = False
    for at, line in enumerate(lines[:-2]):
        if line.startswith("Subject:"):
            reply = line.removeprefix("Subject:").strip().lower().startswith("re:")
        target = _TARGET.match(lines[at + 1]) if line.startswith("--- ") else None
        if target is None:
            continue
        path = target[1]
        if line.startswith("--- /dev/null"):
            body = _new_file(lines, at + 2, posting)
            if body is not None:
                seen[path] += 1
                if seen[path] <= wanted_one:
                    posting.files[path] = "".join(f"{line}\n" for line in body)
        elif path in posting.files and seen[path] <= wanted_one and not reply:
            _change(posting, path, lines, at + 2)
    return posting


def _new_file(lines: list[str], at: int, posting: Patch) -> list[str] | None:
    hunk = _HUNK.match(lines[at])
    return _body(lines, at + 1, int(hunk[1] or 1), posting) if hunk else None


def _change(posting: Patch, path: str, lines: list[str], at: int) -> None:
    hunks = read_hunks(lines, at)
    changed = apply_hunks(posting.files[path], hunks) if hunks else None
    if changed is None:
        posting.mend(f"a later change of {path} was left out: it does not apply")
    else:
        posting.files[path] = changed
        posting.mend(f"a later change of {path} was applied")


def _text(data: bytes, posting: Patch) -> str:
    """Decode what a mail or a web archive encoded."""
    if re.search(rb"^Content-Transfer-Encoding: quoted-printable", data, re.IGNORECASE | re.M) or (
        _SOFT_BREAK.search(data) and b"=3D" in data
    ):
        posting.mend("the quoted-printable encoding was undone")
        data = quopri.decodestring(data)
    text = data.decode("utf-8", "replace").replace("\r\n", "\n")
    if "+#include &lt;" in text:
        posting.mend("HTML entities were undone")
        text = html.unescape(text)
    if "\xa0" in text:
        posting.mend("non-breaking spaces were made ordinary ones")
        text = text.replace("\xa0", " ")
    return text


def _body(lines: list[str], at: int, wanted: int, posting: Patch) -> list[str] | None:
    """The ``wanted`` lines of a hunk that only adds; None when they are not all there."""
    body: list[str] = []
    while len(body) < wanted or _continues(lines, at, wanted, body):
        if at >= len(lines):
            return None
        line = lines[at]
        at += 1
        if line.startswith("+"):
            body.append(line[1:])
        elif line.startswith(">") or _ends(line) or not body:
            return None
        elif line.strip():
            # The mail program broke a long line; the break was a blank.
            posting.mend("lines that were wrapped were joined")
            body[-1] = f"{body[-1].rstrip()} {line.strip()}"
    return body


def _continues(lines: list[str], at: int, wanted: int, body: list[str]) -> bool:
    """Whether the last line of a hunk goes on in one that has no sign of its own."""
    if not body or len(body) < wanted or at >= len(lines):
        return False
    if not body[-1].rstrip().endswith((",", "(", "&&")):
        return False
    return bool(lines[at].strip()) and lines[at][0] not in "+-@ >" and not _ends(lines[at])


def _ends(line: str) -> bool:
    return line.startswith(("diff --git ", "--- ", "@@ ", "From ", "-- ", "index ", "Index: "))
