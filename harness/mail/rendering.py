# SPDX-License-Identifier: MIT
"""Reads the Markdown rendering of a thread: front matter with a title, and one heading a mail."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from harness.mail.diffs import FileDiff, Item
from harness.mail.subject import read_subject

__all__ = ["RenderedMail", "read_rendering"]

_FENCE = "---"
_TITLE = re.compile(r"title:\s+(\S.*)", re.IGNORECASE)
_HEADING = re.compile(r"#{1,6} \[\d{1,5}\] (\S.*?) (?:[\u2013\u2014]|--?) (\d{4}-\d\d-\d\d\b.*)")
_SUBJECT = re.compile(r"[*_]{0,2}Subject[*_]{0,2}:[*_]{0,2}\s+(\S.*)", re.IGNORECASE)
_MAX_FRONT_MATTER = 100  # lines
_LONG = 500  # characters of a line that is searched


@dataclass
class RenderedMail:
    """A mail of a rendering; ``subject`` is empty where no line below the heading states it."""

    author: str
    date: str
    subject: str = ""
    diffs: list[FileDiff] = field(default_factory=list)


def read_rendering(items: Sequence[Item]) -> list[RenderedMail]:
    """Read the mails of a rendering, each with its subject; empty when ``items`` is none.

    The title of the thread is the subject of the first mail. A mail without a subject line is an
    answer. A rendering may leave out the tag of its title, which answers then show.
    """
    title, rest = _front_matter(items)
    mails = list(_mails(rest)) if title else []
    if mails:
        mails[0].subject = mails[0].subject or _with_tag(title, [mail.subject for mail in mails])
    for mail in mails[1:]:
        mail.subject = mail.subject or f"Re: {title}"
    return mails


def _front_matter(items: Sequence[Item]) -> tuple[str, Sequence[Item]]:
    """The title in the front matter, or an empty one, and what comes after the front matter."""
    if not items or items[0] != _FENCE:
        return "", items
    head = list(takewhile(lambda item: item != _FENCE, items[1 : 1 + _MAX_FRONT_MATTER]))
    lines = [item[:_LONG] for item in head if isinstance(item, str)]
    found = next((match for line in lines if (match := _TITLE.fullmatch(line))), None)
    return _unquoted(found[1].strip()) if found else "", items[len(head) + 2 :]


def _unquoted(value: str) -> str:
    """The text of a YAML scalar: plain, or in single or double quotes."""
    if len(value) >= 2 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def _mails(items: Sequence[Item]) -> Iterator[RenderedMail]:
    """The mails below the headings; a subject is taken only from the first line of a mail."""
    mail: RenderedMail | None = None
    is_first = False
    for item in items:
        if isinstance(item, FileDiff):
            if mail is None:
                return  # a diff above the first heading belongs to another kind of text
            mail.diffs.append(item)
            is_first = False
        elif found := _HEADING.fullmatch(item) if len(item) <= _LONG else None:
            if mail is not None:
                yield mail
            mail, is_first = RenderedMail(found[1], found[2]), True
        elif mail is not None and is_first and item.strip():
            subject = _SUBJECT.fullmatch(item.strip()[:_LONG])
            mail.subject = subject[1].rstrip("*_ ") if subject else ""
            is_first = False
    if mail is not None:
        yield mail


def _with_tag(title: str, following: Sequence[str]) -> str:
    """The title with the tag that answers to it show, or that the next patch of its series has."""
    first = read_subject(title)
    if first.is_patch or first.is_reply:
        return title
    for subject in map(read_subject, following):
        if not subject.is_patch:
            continue
        if subject.is_reply and subject.title == title:
            number = f" {subject.number}/{subject.total}" if subject.has_number else ""
            return f"[PATCH v{subject.version}{number}] {title}"
        if not subject.is_reply:
            number = f" 1/{subject.total}" if subject.number == 2 else ""
            return f"[PATCH v{subject.version if number else 1}{number}] {title}"
    return f"[PATCH] {title}"
