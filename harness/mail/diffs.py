# SPDX-License-Identifier: MIT
"""From text to diffs of files, each in the form that `git apply` takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from harness.errors import UsageError
from harness.mail.heads import Head, read_head
from harness.mail.hunks import read_hunks
from harness.mail.model import FileChange
from harness.mail.repairs import (
    decode_quoted_printable,
    join_flowed,
    remove_dash_escapes,
    remove_indentation,
    replace_entities,
)

__all__ = ["FileDiff", "Item", "read_diffs"]

_MAX_LINES = 1_000_000
_MAX_FILES = 5000


@dataclass(frozen=True)
class FileDiff:
    """What a patch does to one file.

    ``text`` is empty when the diff is left out; ``notes`` then say why. It is also empty when the
    diff is ``damaged``, that is, incomplete.
    """

    change: FileChange
    text: str
    notes: tuple[str, ...] = ()
    damaged: bool = False


_REPAIRS = ((replace_entities, "replaced HTML entities"),)
_REPAIRS_WITHOUT_HEADERS = (
    (decode_quoted_printable, "decoded quoted-printable"),
    (remove_indentation, "removed the indentation of code"),
    *_REPAIRS,
)

Item = str | FileDiff
"""A line outside of all diffs, or a diff."""


def read_diffs(
    text: str, *, has_headers: bool, flowed: bool = False, delete_space: bool = False
) -> list[Item]:
    """Read every diff of ``text``, and the lines between them.

    ``has_headers`` is whether headers of a mail said how to decode the text. ``flowed`` and
    ``delete_space`` are the parameters of format=flowed; a text that claims the format, but has
    fewer damaged diffs without decoding it, is not decoded. Raises :class:`UsageError` for a file
    name that is refused, and for too many lines.
    """
    if text.count("\n") > _MAX_LINES:
        raise UsageError(
            f"the text has more than {_MAX_LINES} lines", hint="give the mails of one thread"
        )
    text = text.replace("\r\n", "\n")
    candidates = [text]
    if flowed:
        candidates.insert(0, join_flowed(text, delete_space=delete_space))
    best: list[Item] = []
    for number, candidate in enumerate(candidates):
        items = _repaired(candidate, has_headers)
        if not number or _rank(items) < _rank(best):
            best = items
    return best


def _rank(items: Sequence[Item]) -> tuple[bool, int]:
    """A number that is lower for a text that was decoded better."""
    diffs = [item for item in items if isinstance(item, FileDiff)]
    return not diffs, sum(diff.damaged for diff in diffs)


def _repaired(text: str, has_headers: bool) -> list[Item]:
    """Read a text after the repairs of the whole text; the first diff notes them."""
    text = remove_dash_escapes(text)
    notes = []
    for repair, note in _REPAIRS if has_headers else _REPAIRS_WITHOUT_HEADERS:
        repaired = repair(text)
        notes += [note] if repaired != text else []
        text = repaired
    items = list(_scan(text.split("\n")))
    first = next((at for at, item in enumerate(items) if isinstance(item, FileDiff)), None)
    if first is not None:
        diff = items[first]
        assert isinstance(diff, FileDiff)
        items[first] = replace(diff, notes=(*notes, *diff.notes))
    return items


def _scan(lines: Sequence[str]) -> Iterator[Item]:
    at = files = 0
    while at < len(lines):
        head = read_head(lines, at)
        if head is None:
            yield lines[at]
            at += 1
            continue
        files += 1
        if files > _MAX_FILES:
            raise UsageError(
                f"a mail changes more than {_MAX_FILES} files", hint="give a patch of the interface"
            )
        diff, at = _read_file(lines, head)
        yield diff


def _read_file(lines: Sequence[str], head: Head) -> tuple[FileDiff, int]:
    change = FileChange(head.old, head.new)
    end, body, notes = head.end, list[str](), list[str]()
    if head.has_hunks:
        hunks = read_hunks(lines, head.end)
        end, body, notes = hunks.end, hunks.lines, hunks.notes
        if hunks.damage and not head.left_out:
            note = f"the change of {head.new or head.old} is incomplete: {hunks.damage}"
            return FileDiff(change, "", (note,), damaged=True), end
    if head.left_out:
        return FileDiff(change, "", (f"left out {head.left_out}",)), end
    old, new = head.old or head.new, head.new or head.old
    text = [f"diff --git a/{old} b/{new}", *head.lines]
    if body:
        text.append(f"--- a/{head.old}" if head.old else "--- /dev/null")
        text.append(f"+++ b/{head.new}" if head.new else "+++ /dev/null")
    return FileDiff(change, "\n".join([*text, *body, ""]), tuple(notes)), end
