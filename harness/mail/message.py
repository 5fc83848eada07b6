# SPDX-License-Identifier: MIT
"""From the bytes of a mail to its headers and diffs, each mail decoded by its own headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.policy import EmailPolicy, compat32
from email.utils import parsedate_to_datetime
from typing import TypeVar

from harness.mail.diffs import FileDiff, read_diffs
from harness.mail.text import clean, decode_text

__all__ = ["Mail", "looks_like_mail", "message_ids", "read_mail", "timestamp"]

T = TypeVar("T")

# Of the value of one header: the parsers of the email package take quadratic time.
_MAX_HEADER, _MAX_REFERENCES = 2000, 20_000
_MAX_HEADERS = 256 << 10
_MAX_PARTS = 100
_HEADER = re.compile(rb"[!-9;-~]+:")
_KNOWN = re.compile(
    rb"^(from|subject|date|message-id|mime-version|content-[a-z-]+|received|return-path):",
    re.IGNORECASE | re.MULTILINE,
)
_HEADERS_END = re.compile(rb"\r?\n\r?\n")
_PART = re.compile(rb"^content-type:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID = re.compile(r"<[^\s<>]{1,500}>")
_DIFF_NAME = re.compile(r"\.(patch|diff|eml|mbox|txt)$", re.IGNORECASE)
_DIFF_TYPES = ("text/x-patch", "text/x-diff", "application/x-patch", "application/x-diff")
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature",
               "application/x-pkcs7-signature", "application/pgp-keys")  # fmt: skip


class _Policy(EmailPolicy):
    """The default policy; a value that is longer than any real one is cut."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        is_list = name.lower() == "references"  # which no parser takes apart
        return name, value[: _MAX_REFERENCES if is_list else _MAX_HEADER]


_POLICY = _Policy()


@dataclass(frozen=True)
class Mail:
    """What the assembly of postings needs to know of a mail.

    ``parents`` are the ids in In-Reply-To and References, the nearest first; ``sent`` is the
    date in seconds since 1970, if there is one. ``is_exported`` marks mails that git wrote and
    nobody sent. ``patches`` are the diffs of the text, then those of each attachment that has any.
    """

    subject: str
    author: str
    date: str
    message_id: str
    parents: tuple[str, ...]
    patches: tuple[tuple[FileDiff, ...], ...]
    sent: float | None = None
    is_exported: bool = False
    notes: tuple[str, ...] = ()


def message_ids(text: str) -> tuple[str, ...]:
    """The message ids in a header, without their brackets."""
    return tuple(each[1:-1] for each in _MESSAGE_ID.findall(text))


def timestamp(date: str) -> float | None:
    """The date of a header in seconds since 1970; None when it is no date."""
    try:
        parsed = parsedate_to_datetime(date[:100])
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        pass
    try:
        parsed = datetime.fromisoformat(date.strip()[:40])
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def looks_like_mail(data: bytes) -> bool:
    """Whether bytes begin with the headers of a mail."""
    headers = _HEADERS_END.split(data[:_MAX_HEADERS], 1)[0]
    first = headers.split(b"\n", 1)[0]
    if first.startswith((b"From ", b">From ")):
        headers = headers.partition(b"\n")[2]
    return bool(_HEADER.match(headers) and _KNOWN.search(headers))


def read_mail(raw: bytes) -> Iterator[Mail]:
    """Read a mail, and the mails in it. A mail that exceeds a limit has a note and no diffs."""
    is_exported = bool(re.match(rb"From [0-9a-f]{40,64} Mon Sep 17 00:00:00 2001", raw))
    if raw.startswith((b"From ", b">From ")):
        raw = raw.partition(b"\n")[2]
    headers = _HEADERS_END.split(raw, 1)[0]
    problem = ""
    if len(headers) > _MAX_HEADERS:
        problem = f"left out a mail whose headers exceed {_MAX_HEADERS >> 10} KiB"
    elif len(_PART.findall(raw)) > _MAX_PARTS:
        problem = f"left out a mail with more than {_MAX_PARTS} parts"
    if problem:
        yield Mail("", "", "", "", (), (), notes=(problem,))
        return
    try:
        message: Message = message_from_bytes(raw, policy=_POLICY)
    except Exception:  # the parser of structured headers raises errors of any kind
        message = message_from_bytes(raw, policy=compat32)
    yield from _read_message(message, is_exported)


def _read_message(message: Message, is_exported: bool) -> Iterator[Mail]:
    inner: list[Message] = []
    notes: list[str] = []
    patches: list[tuple[FileDiff, ...]] = []
    for part in _leaves(message, inner):
        patches += _diffs_of(part, notes)
    date = _header(message, "Date")
    yield Mail(
        subject=clean(_header(message, "Subject")),
        author=clean(_header(message, "From")),
        date=clean(date),
        message_id=next(iter(message_ids(_header(message, "Message-ID"))), ""),
        parents=_parents(message),
        patches=tuple(dict.fromkeys(patches)),
        sent=timestamp(date),
        is_exported=is_exported,
        notes=tuple(dict.fromkeys(notes)),
    )
    for each in inner:
        yield from _read_message(each, is_exported=False)


def _parents(message: Message) -> tuple[str, ...]:
    references = message_ids(_header(message, "References"))
    return tuple(dict.fromkeys((*message_ids(_header(message, "In-Reply-To")), *references[::-1])))


def _header(message: Message, name: str) -> str:
    """The value of a header, decoded; as it stands where the parser fails."""
    raw = next(
        (str(value) for key, value in message.raw_items() if key.lower() == name.lower()), ""
    )
    return str(_tolerant(lambda: message.get(name, ""), raw))


def _tolerant(read: Callable[[], T], fallback: T) -> T:
    """Call a method of the email package, whose parsers raise errors of any kind."""
    try:
        return read()
    except Exception:
        return fallback


def _leaves(message: Message, inner: list[Message]) -> Iterator[Message]:
    """The parts with content; mails that are attached as such are appended to ``inner``."""
    kind = _tolerant(message.get_content_type, "text/plain")
    if not message.is_multipart():
        yield message
        return
    children = [part for part in message.get_payload() if isinstance(part, Message)]
    if kind.startswith("message/"):
        inner += children
        return
    if kind == "multipart/alternative":
        plain = [part for part in children if not _is_html(part)]
        children = plain or children
    for part in children:
        yield from _leaves(part, inner)


def _is_html(part: Message) -> bool:
    return _tolerant(part.get_content_type, "") == "text/html"


def _diffs_of(part: Message, notes: list[str]) -> list[tuple[FileDiff, ...]]:
    kind = _tolerant(part.get_content_type, "text/plain")
    name = _tolerant(part.get_filename, None) or ""
    if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime"):
        notes.append("left out a part that S/MIME wraps; save the mail as decoded text")
    if kind == "text/html":
        notes.append("left out a part in HTML")
    is_text = kind.startswith("text/") and kind != "text/html"
    if kind in _SIGNATURES or not (is_text or kind in _DIFF_TYPES or _DIFF_NAME.search(name)):
        return []
    payload: object = _tolerant(lambda: _payload(part), None)
    data = payload if isinstance(payload, bytes) else b""
    text, note = decode_text(data, _tolerant(part.get_content_charset, None) or "")
    notes += [note] if note else []
    items = read_diffs(
        text,
        has_headers=True,
        flowed=_parameter(part, "format") == "flowed",
        delete_space=_parameter(part, "delsp") == "yes",
    )
    diffs = tuple(item for item in items if isinstance(item, FileDiff))
    return [diffs] if diffs else []


def _payload(part: Message) -> object:
    return part.get_payload(decode=True)


def _parameter(part: Message, name: str) -> str:
    """A parameter of Content-Type in lower case, or an empty string."""
    value: object = _tolerant(lambda: part.get_param(name), None)
    return value.lower() if isinstance(value, str) else ""
