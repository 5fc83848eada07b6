# SPDX-License-Identifier: MIT
"""Finds the mails in a text that shows a thread: a web page's text, Markdown, plain diffs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from harness.mail.diffs import FileDiff, Item, read_diffs
from harness.mail.message import Mail, message_ids, timestamp
from harness.mail.rendering import RenderedMail, read_rendering
from harness.mail.subject import read_subject
from harness.mail.text import clean, decode_text

__all__ = ["read_text"]

_FIELD = re.compile(
    r"[#*_\s-]{0,8}(?P<name>Subject|From|Author|Date|Message-ID|In-Reply-To|References|To|Cc)"
    r"[*_`]{0,3}:[*_`]{0,3}\s+(?P<value>\S.*)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"(#{1,6}) +(\S.*)")
_COMMIT = re.compile(r"commit [0-9a-f]{40,64}( \(.*\))?")
_MERCURIAL = "# HG changeset patch"
_MERCURIAL_FIELD = re.compile(r"# (User|Date|Node ID|Parent|Branch|Bookmark)\s+(.*)")
_REPLY_HEADING = re.compile(r"(re|aw|reply|replies|review|comment)\b", re.IGNORECASE)
_LONG = 2000


@dataclass
class _Section:
    """The part of a text that is one mail; ``level`` is that of a Markdown heading, or 0."""

    fields: dict[str, str] = field(default_factory=dict)
    level: int = 0
    is_other: bool = False
    is_commit: bool = False
    is_open: bool = True
    diffs: list[FileDiff] = field(default_factory=list)


def read_text(data: bytes) -> list[Mail]:
    """Read the diffs of a text, each with the subject, author and date that stand above it."""
    text, note = decode_text(data)
    items = list(read_diffs(text, has_headers=False))
    sections = list(map(_section_of, read_rendering(items))) or _sections(items)
    if len(sections) > 2 and all("date" in section.fields for section in sections[1:]):
        sections[1:] = sorted(sections[1:], key=_time_of_commit)  # git log begins with the newest
    mails = [mail for section in sections for mail in _mails(section)]
    if len(sections) > 1 and not sections[0].fields and mails and not mails[0].subject:
        mails[0] = _first_of_series(mails)
    return [replace(mails[0], notes=(note,)), *mails[1:]] if note and mails else mails


def _section_of(mail: RenderedMail) -> _Section:
    fields = {"subject": mail.subject, "from": mail.author, "date": mail.date}
    return _Section(fields, is_open=False, diffs=mail.diffs)


def _time_of_commit(section: _Section) -> float:
    return (timestamp(section.fields["date"]) or 0.0) if section.is_commit else 0.0


def _first_of_series(mails: Sequence[Mail]) -> Mail:
    """The first mail, as that one of a series whose subject is cut off."""
    following = next((read_subject(mail.subject) for mail in mails[1:] if mail.subject), None)
    if following is None or following.number != 2 or following.is_reply:
        return mails[0]
    return replace(mails[0], subject=f"[PATCH v{following.version} 1/{following.total}]")


def _sections(items: Sequence[Item]) -> list[_Section]:
    sections = [_Section()]
    above: dict[str, str] = {}  # fields in the lines directly above
    for item in items:
        current = sections[-1]
        if isinstance(item, FileDiff):
            current.diffs.append(item)
            current.is_open = False
            continue
        found = _FIELD.fullmatch(item) if len(item) <= _LONG else None
        started = _start(item, found, current, above)
        if started is not None:
            sections.append(started)
        elif len(item) <= _LONG:
            _add_line(item, found, current)
        if found is None and item.strip():
            above = {}
        elif found is not None:
            above[found["name"].lower()] = _value(found["value"])
    return sections


def _start(
    line: str, found: re.Match[str] | None, current: _Section, above: dict[str, str]
) -> _Section | None:
    """The section that a line begins, or None."""
    if line == _MERCURIAL or (len(line) <= _LONG and _COMMIT.fullmatch(line)):
        return _Section(is_commit=True)
    if heading := _HEADING.fullmatch(line) if len(line) <= _LONG else None:
        return _start_at_heading(len(heading[1]), heading[2].strip(), current)
    # "From:" may be the first line of a commit message; only a subject tells a mail.
    if found is None or found["name"].lower() != "subject":
        return None
    if current.is_open and ("subject" not in current.fields or current.level):
        return None
    return _Section({**above, "subject": _value(found["value"])})


def _start_at_heading(level: int, title: str, current: _Section) -> _Section | None:
    subject = read_subject(title.strip("`*_ "))
    if subject.is_patch or subject.is_reply:
        return _Section({"subject": title.strip("`*_ ")}, level=level)
    if current.level and (level <= current.level or _REPLY_HEADING.match(title)):
        return _Section({"subject": title}, level=level, is_other=True)
    return None


def _add_line(line: str, found: re.Match[str] | None, section: _Section) -> None:
    """Take the headers of a section from the lines below its beginning."""
    if not section.is_open:
        return
    if section.is_commit:
        _add_line_of_commit(line, found, section)
    elif found is not None:
        section.fields.setdefault(found["name"].lower(), _value(found["value"]))
    elif line.strip(" -*_`>|") and section.fields:
        section.is_open = False


def _add_line_of_commit(line: str, found: re.Match[str] | None, section: _Section) -> None:
    """Read the head that `git show` or Mercurial writes, and the first line of the message."""
    if mercurial := _MERCURIAL_FIELD.fullmatch(line):
        name = {"User": "from"}.get(mercurial[1], mercurial[1].lower())
        value = mercurial[2].strip()
        section.fields[name] = value if name != "date" else ""
    elif found is not None and not line.startswith(" "):
        name = {"author": "from"}.get(found["name"].lower(), found["name"].lower())
        section.fields[name] = _value(found["value"])
    elif line.strip() and not line.startswith(("#", "Merge:", "AuthorDate:", "Commit")):
        section.fields.setdefault("subject", line.strip())
        section.is_open = False


def _value(text: str) -> str:
    return text.strip().strip("`*_").strip()


def _mails(section: _Section) -> Iterator[Mail]:
    """The mails of a section: one, or several when it creates the same file several times."""
    if section.is_other and section.diffs:
        section.diffs = [replace(diff, text="", notes=()) for diff in section.diffs]
    fields = {name: clean(value) for name, value in section.fields.items()}
    subject = fields.get("subject", "")
    if section.is_other:
        subject = f"Re: {subject}"
    for patches in _split_versions(section.diffs):
        yield Mail(
            subject=subject,
            author=fields.get("from", fields.get("author", "")),
            date=fields.get("date", ""),
            message_id=next(iter(message_ids(section.fields.get("message-id", ""))), ""),
            parents=message_ids(section.fields.get("in-reply-to", "")),
            patches=tuple(patches),
            sent=timestamp(fields.get("date", "")),
            is_exported=section.is_commit,
        )


def _split_versions(diffs: Sequence[FileDiff]) -> Iterator[list[tuple[FileDiff, ...]]]:
    """Patches in which no file occurs twice, and versions in which no file is created twice."""
    version: list[list[FileDiff]] = [[]]
    created: set[str] = set()
    seen: set[str] = set()
    for diff in diffs:
        name = diff.change.new or diff.change.old
        if not diff.change.old and name in created:
            yield [tuple(patch) for patch in version]
            version, created, seen = [[]], set(), set()
        elif name in seen:
            version.append([])
            seen = set()
        created |= {name} if not diff.change.old else set()
        seen.add(name)
        version[-1].append(diff)
    yield [tuple(patch) for patch in version if patch]
