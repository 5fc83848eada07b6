# SPDX-License-Identifier: MIT
"""From mails in any order to postings: tells the versions of a series, and replies, apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parseaddr
from itertools import chain

from harness.mail.diffs import FileDiff
from harness.mail.message import Mail
from harness.mail.model import PostedPatch, Posting
from harness.mail.subject import Subject, read_subject
from harness.mail.text import to_bytes

__all__ = ["postings_of"]

_MAX_NOTES = 60
_Entry = tuple[Mail, Subject]


@dataclass
class _Group:
    """Mails of one version of a series; ``numbers`` are those of its patches."""

    entries: list[_Entry] = field(default_factory=list)

    @property
    def numbers(self) -> set[int]:
        return {subject.number for _, subject in self.entries}

    @property
    def order(self) -> float:
        """When the first mail was sent; 0 without a date."""
        return min((mail.sent or 0.0 for mail, _ in self.entries), default=0.0)


def postings_of(mails: Iterable[Mail], *, in_one_directory: bool = False) -> tuple[Posting, ...]:
    """Assemble postings, the one that was sent first at the beginning.

    With ``in_one_directory``, mails without ``n/m`` are patches of one series, as they are where
    git exported them. Replies are left out.
    """
    entries = [(mail, read_subject(mail.subject)) for mail in _without_copies(mails)]
    tagged = any(subject.is_patch for _, subject in entries)
    kept, left_out = [], []
    for mail, subject in entries:
        if subject.is_reply or not _may_be_posting(mail, subject, entries, tagged):
            if any(mail.patches) and not subject.is_reply:
                left_out.append(f"left out a diff in {subject.title!a}, which is no posting")
        else:
            kept.append((mail, subject))
    groups = _numbered(kept) + _single(kept, in_one_directory)
    dated = all(group.order for group in groups)
    groups.sort(key=lambda group: (group.order if dated else 0.0, group.entries[0][1].version))
    postings = [posting for group in groups if (posting := _posting(group)).patches]
    return tuple(_with_notes(posting, left_out) for posting in postings)


def _without_copies(mails: Iterable[Mail]) -> list[Mail]:
    """The mails, each once, although an archive may have the copies of several lists."""
    unique: dict[object, Mail] = {}
    for number, mail in enumerate(mails):
        unique.setdefault(mail.message_id or number, mail)
    return list(unique.values())


def _may_be_posting(mail: Mail, subject: Subject, entries: list[_Entry], tagged: bool) -> bool:
    """Whether a mail that is not marked as a reply posts a patch.

    In a thread with tagged patches, one without a tag is a remark. So is a mail by somebody else
    that repeats the subject of the mail that it answers.
    """
    if tagged and not subject.is_patch and mail.subject:
        return False
    return not any(
        parent.message_id in mail.parents[:1]
        and (parent.subject, parent.author != mail.author) == (mail.subject, True)
        for parent, _ in entries
        if parent.message_id and subject.is_patch
    )


def _numbered(entries: Sequence[_Entry]) -> list[_Group]:
    """Groups of mails with ``n/m``: first by thread, then joined where no number occurs twice.

    The sender distinguishes series, unless a text does not name it everywhere.
    """
    numbered = [(mail, subject) for mail, subject in entries if subject.has_number]
    has_senders = all(mail.author for mail, _ in numbered)
    by_series: dict[tuple[object, ...], list[_Entry]] = {}
    for mail, subject in numbered:
        sender = parseaddr(mail.author)[1].lower() if has_senders else ""
        key = (subject.version, subject.total, subject.variant, sender)
        by_series.setdefault(key, []).append((mail, subject))
    return list(chain.from_iterable(_joined(_threads(each)) for each in by_series.values()))


def _threads(entries: Sequence[_Entry]) -> list[_Group]:
    """Groups of mails that answer each other, or the same mail."""
    by_id = {mail.message_id: mail for mail, _ in entries if mail.message_id}
    groups: dict[object, _Group] = {}
    for number, (mail, subject) in enumerate(entries):
        root: object = _root(mail, by_id) or ("alone", number)
        groups.setdefault(root, _Group()).entries.append((mail, subject))
    return list(groups.values())


def _root(mail: Mail, by_id: dict[str, Mail]) -> str:
    """The id of the first mail above ``mail``, in these mails or just outside of them."""
    root, seen = mail.message_id, {mail.message_id}
    while mail.parents and mail.parents[0] not in seen:
        root = mail.parents[0]
        seen.add(root)
        if root not in by_id:
            break
        mail = by_id[root]
    return root


def _joined(groups: Sequence[_Group]) -> list[_Group]:
    joined: list[_Group] = []
    for group in groups:
        for part in _without_repetition(group):
            fitting = next((each for each in joined if not each.numbers & part.numbers), None)
            if fitting is None:
                joined.append(part)
            else:
                fitting.entries += part.entries
    return joined


def _without_repetition(group: _Group) -> list[_Group]:
    """Split a thread that has several series of the same version and length."""
    parts: list[_Group] = []
    for mail, subject in sorted(group.entries, key=lambda entry: entry[0].sent or 0.0):
        fitting = next((part for part in parts if subject.number not in part.numbers), None)
        if fitting is None:
            parts.append(_Group([(mail, subject)]))
        else:
            fitting.entries.append((mail, subject))
    return parts


def _single(entries: Sequence[_Entry], in_one_directory: bool) -> list[_Group]:
    """Mails without ``n/m``; those that git exported one after another are one series."""
    groups: list[_Group] = []
    exported: _Group | None = None
    for mail, subject in entries:
        if subject.has_number:
            continue
        is_next = in_one_directory or (mail.is_exported and not mail.message_id)
        if is_next and exported is not None and exported.entries[0][1].version == subject.version:
            exported.entries.append((mail, subject))
            continue
        group = _Group([(mail, subject)])
        exported = group if is_next else None
        groups.append(group)
    return groups


def _posting(group: _Group) -> Posting:
    ordered = sorted(group.entries, key=lambda entry: entry[1].number)
    patches: list[PostedPatch] = []
    notes: list[str] = []
    damaged: list[str] = []
    for mail, subject in ordered:
        notes += mail.notes
        if subject.has_number and not subject.number:
            continue  # a cover letter, whose diffs compare versions
        for diffs in mail.patches:
            patches += _patch(mail, subject, diffs)
            notes += [note for diff in diffs for note in diff.notes]
            damaged += [diff.change.new or diff.change.old for diff in diffs if diff.damaged]
    notes += _missing(group, ordered[0][1].total)
    mail, subject = ordered[0]
    return Posting(
        subject=subject.title,
        version=subject.version,
        author=mail.author,
        date=mail.date,
        message_id=mail.message_id,
        patches=tuple(patches),
        notes=tuple(dict.fromkeys(notes)),
        damaged=tuple(dict.fromkeys(damaged)),
    )


def _patch(mail: Mail, subject: Subject, diffs: Sequence[FileDiff]) -> list[PostedPatch]:
    kept = [diff for diff in diffs if diff.text]
    diff = to_bytes("".join(diff.text for diff in kept))
    changes = tuple(diff.change for diff in kept)
    if not diffs:
        return []
    return [PostedPatch(subject.title, subject.number, mail.message_id, changes, diff)]


def _missing(group: _Group, total: int) -> list[str]:
    missing = sorted(set(range(1, total + 1)) - group.numbers) if total <= 1000 else []
    if not missing:
        return []
    shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
    return [f"of {total} patches, these are missing: {shown}"]


def _with_notes(posting: Posting, notes: Sequence[str]) -> Posting:
    return replace(posting, notes=tuple(dict.fromkeys((*posting.notes, *notes)))[:_MAX_NOTES])
