# SPDX-License-Identifier: MIT
"""The head of a file's diff, as git, diff, CVS and others write it: which file, and how."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harness.mail.names import check_name, printable_name, split_prefix, stripped, unquote

__all__ = ["Head", "read_head"]

_GIT = re.compile(r"diff --git (?P<names>.+)")
_NAMES = re.compile(r'(?P<old>"(?:[^"\\]|\\.)*"|\S+) (?P<new>"(?:[^"\\]|\\.)*"|\S+)')
_EXTENDED = re.compile(
    r"(?P<key>old mode|new mode|new file mode|deleted file mode|similarity index|"
    r"dissimilarity index|rename from|rename to|copy from|copy to|index) (?P<value>.+)"
)
_INDEX = re.compile(r"[0-9a-f]{7,64}\.\.[0-9a-f]{7,64}( 100(644|755))?")
_COMBINED = re.compile(r"diff --(?:cc|combined) (.+)")
_DATE = re.compile(r"\s+(?:\d{4}-\d\d-\d\d |\d{1,2} \w{3} \d{4} |\w{3} \w{3} [ \d]\d |\(\w).*$")
# 1970, or 1969 in a time zone west of Greenwich: diff -N and Mercurial write it for no file.
_EPOCH = re.compile(
    r"\b(1970-01-01 \d\d:00:00|1969-12-31 \d\d:00:00|0?1 Jan 1970|31 Dec 1969|"
    r"Thu Jan [ 0]1 \d\d:00:00 1970|Wed Dec 31 \d\d:00:00 1969)|\((nonexistent|revision 0)\)"
)
_NO_FILE = "/dev/null"
_REGULAR = ("100644", "100755", "100664", "100600")
_EXECUTABLE = "100755"
_MAX_LINE = 4096
_LINES_OF_INDEX = 6


@dataclass(frozen=True)
class Head:
    """``old`` and ``new`` are as in FileChange; ``lines`` are git's extended header.

    ``end`` is the number of the line after the head. ``left_out`` says why this diff cannot be
    applied, if so. ``has_hunks`` is true when hunks must follow.
    """

    old: str
    new: str
    lines: tuple[str, ...]
    end: int
    has_hunks: bool
    left_out: str = ""


def read_head(lines: Sequence[str], at: int) -> Head | None:
    """Read the head that begins at ``lines[at]``; None when none does.

    Raises :class:`UsageError` for a file name that is refused.
    """
    line = lines[at]
    if line.startswith("diff --git ") and len(line) > _MAX_LINE:
        check_name(line)
    if len(line) > _MAX_LINE or not line.startswith(("diff --", "--- ", "*** ")):
        return None
    if combined := _COMBINED.fullmatch(line):
        reason = f"a combined diff of {printable_name(combined[1])}, which only a merge has"
        return Head("", "", (), _end_of_combined(lines, at + 1), False, reason)
    if line.startswith("*** "):
        return _context_head(lines, at)
    if git := _GIT.fullmatch(line):
        return _git_head(lines, at, git["names"])
    return _plain_head(lines, at) if _has_names(lines, at) else None


def _has_names(lines: Sequence[str], at: int, *, hunk: bool = True) -> bool:
    following = [*lines[at : at + 3], "", "", ""]
    return (
        following[0].startswith("--- ")
        and following[1].startswith("+++ ")
        and (not hunk or following[2].startswith("@@ "))
        and max(map(len, following[:2])) <= _MAX_LINE
    )


def _context_head(lines: Sequence[str], at: int) -> Head | None:
    following = [*lines[at + 1 : at + 3], "", ""]
    if not (following[0].startswith("--- ") and following[1].startswith("***************")):
        return None
    name, _ = _name_and_rest(lines[at])
    return Head("", "", (), at + 3, False, f"a context diff of {printable_name(name)}")


def _end_of_combined(lines: Sequence[str], at: int) -> int:
    while at < len(lines) and lines[at] != "-- " and not lines[at].startswith("diff --"):
        if lines[at][:1] not in (" ", "+", "-", "@", "\\", "i", "m", "n", "d", ""):
            break
        at += 1
    return at


def _git_head(lines: Sequence[str], at: int, names: str) -> Head | None:
    at += 1
    if at < len(lines) and " " not in names and lines[at].startswith(("b/", '"b/')):
        names = f"{names} {lines[at]}"  # a mail program broke the line
        at += 1
    extended: dict[str, str] = {}
    while at < len(lines) and (found := _EXTENDED.fullmatch(lines[at])):
        extended[found["key"]] = found["value"].rstrip()
        at += 1
    has_names = _has_names(lines, at, hunk=False)
    if has_names:
        old, new = (unquote(_name_and_rest(each)[0]) for each in lines[at : at + 2])
        at += 2
    else:
        old, new = _names_of(names)
    old = "" if old == _NO_FILE or "new file mode" in extended else old
    new = "" if new == _NO_FILE or "deleted file mode" in extended else new
    if (not old and not new) or not (has_names or extended or _starts_binary(lines, at)):
        return None  # a line of a text that looks like the head of a diff
    for kind in ("rename", "copy"):
        # Git repeats the names there, without the prefix unless it was told to write none.
        if (extended.get(f"{kind} from"), extended.get(f"{kind} to")) != (old, new):
            continue
        extended[f"{kind} from"], extended[f"{kind} to"] = split_prefix(old, new)
    old, new = split_prefix(old, new)
    kept, old, new = _extended_lines(extended, old, new)
    left_out, at = _binary(lines, at)
    mode = extended.get("new file mode", extended.get("new mode", "100644"))
    if not left_out and mode not in _REGULAR:
        left_out = "a symbolic link or submodule"
    name = check_name(new or old)
    check_name(old or new)
    left_out = left_out and f"{left_out}, {name}"
    has_hunks = has_names or not any(not line.startswith("index ") for line in kept)
    return Head(old, new, kept, at, has_hunks, left_out)


def _names_of(names: str) -> tuple[str, str]:
    """The names in ``diff --git a/X b/X``; X may have blanks when both are equal."""
    if found := _NAMES.fullmatch(names):
        return unquote(found["old"]), unquote(found["new"])
    half = len(names) // 2
    old, new = names[:half], names[half + 1 :]
    return (old, new) if stripped(old) == stripped(new) else (names, names)


def _extended_lines(
    extended: dict[str, str], old: str, new: str
) -> tuple[tuple[str, ...], str, str]:
    """Git's extended header, rewritten for ``git apply``, and both names."""
    kept = []
    if "old mode" in extended and "new mode" in extended:
        kept += [f"{key} {extended[key]}" for key in ("old mode", "new mode")]
    for kind in ("rename", "copy"):
        if f"{kind} from" in extended and f"{kind} to" in extended:
            old, new = (unquote(extended[f"{kind} {end}"]) for end in ("from", "to"))
            similarity = extended.get("similarity index", "")
            kept += [f"similarity index {similarity}"] * bool(re.fullmatch(r"\d+%", similarity))
            kept += [f"{kind} from {old}", f"{kind} to {new}"]
            break
    else:
        old = new if old and new else old
    for is_none, key in ((not old, "new file mode"), (not new, "deleted file mode")):
        if is_none:
            kept.append(f"{key} {_EXECUTABLE if extended.get(key) == _EXECUTABLE else '100644'}")
    if _INDEX.fullmatch(extended.get("index", "")):
        kept.append(f"index {extended['index']}")
    return tuple(kept), old, new


def _starts_binary(lines: Sequence[str], at: int) -> bool:
    return at < len(lines) and lines[at].startswith(("Binary files ", "GIT binary patch"))


def _binary(lines: Sequence[str], at: int) -> tuple[str, int]:
    line = lines[at] if at < len(lines) else ""
    if line.startswith("Binary files "):
        return "a binary change", at + 1
    if line != "GIT binary patch":
        return "", at
    while at < len(lines) and not lines[at].startswith(("diff --", "-- ")):
        at += 1
    return "a binary change", at


def _plain_head(lines: Sequence[str], at: int) -> Head:
    (old, old_rest), (new, new_rest) = (_name_and_rest(each) for each in lines[at : at + 2])
    index = _index_name(lines, at)
    if index and "/" in index:
        old, new = (index if index.endswith(f"/{name}") else name for name in (old, new))
    ranges = lines[at + 2].split()
    no_old = old == _NO_FILE or bool(_EPOCH.search(old_rest)) or ranges[1:2] == ["-0,0"]
    no_new = new == _NO_FILE or (bool(_EPOCH.search(new_rest)) and ranges[2:3] == ["+0,0"])
    old, new = split_prefix("" if old == _NO_FILE else old, "" if new == _NO_FILE else new)
    name = check_name((new or old) if not no_new else (old or new))
    if no_old and not no_new:
        return Head("", name, ("new file mode 100644",), at + 2, True)
    if no_new:
        return Head(name, "", ("deleted file mode 100644",), at + 2, True)
    return Head(name, name, (), at + 2, True)


def _index_name(lines: Sequence[str], at: int) -> str:
    """The path after ``Index:``, which CVS, Subversion and quilt write above the names."""
    for line in reversed(lines[max(at - _LINES_OF_INDEX, 0) : at]):
        if line.startswith("Index: "):
            return line.removeprefix("Index: ").strip()
        if not line:
            break
    return ""


def _name_and_rest(line: str) -> tuple[str, str]:
    """The name in a line that begins with ``--- `` or ``+++ ``, and what follows it, a date."""
    content = line[4:]
    name, tab, rest = content.partition("\t")
    if tab:
        return name.strip(), rest
    name = _DATE.sub("", content)
    return name.strip(), content[len(name) :]
