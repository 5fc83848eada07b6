# SPDX-License-Identifier: MIT
"""Reads a subject: ``[PATCH v2 1/3] tsm: ...`` is the first of three patches of version 2."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Subject", "read_subject"]

# The words for "reply" of common mail programs, also with a count, as in Re[2]:
_REPLY = re.compile(
    r"(re|aw|antw|antwort|sv|vs|odp|rif|ynt|vá|bls|回复|回覆|答复)\s*(\[\d+\]|\(\d+\)|\^\d+)?\s*[:：]\s*",
    re.IGNORECASE,
)
_FORWARD = re.compile(r"(fwd?|wg|tr|转发)\s*[:：]\s*", re.IGNORECASE)
_TAG = re.compile(r"\[([^\]]{0,120})\]\s*")
_PATCH = re.compile(r"\b(RFC|RFT)\b|PATCH|(^|\s)v\d{1,3}$|\b\d{1,4}/\d{1,4}\b", re.IGNORECASE)
_VERSION = re.compile(r"(?:\b|PATCH|RFC)v(\d{1,3})(?:\.\d+)?(?!\d)", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\d.])(\d{1,4})/(\d{1,4})(?![\d.])")


@dataclass(frozen=True)
class Subject:
    """The parts of a subject; ``number`` and ``total`` are 0 when it has no ``n/m``.

    ``is_patch`` is whether a tag says so; ``variant`` tells a resent version from the first one.
    """

    title: str
    version: int
    number: int
    total: int
    is_reply: bool
    is_patch: bool
    has_number: bool = False
    variant: str = ""


def read_subject(subject: str) -> Subject:
    """Read a subject, whose encoding is undone already."""
    rest, tags, is_reply = subject.strip(), [], False
    while rest:
        if found := _REPLY.match(rest):
            is_reply = True
        else:
            found = _FORWARD.match(rest) or _TAG.match(rest)
            if found is None:
                break
            tags += [found[1]] if found.re is _TAG else []
        rest = rest[found.end() :]
    of_patch = [tag for tag in tags if _PATCH.search(tag)]
    text = " ".join(of_patch)
    version, number = _VERSION.search(text), _NUMBER.search(text)
    return Subject(
        title=rest,
        version=int(version[1]) if version else 1,
        number=int(number[1]) if number else 0,
        total=int(number[2]) if number else 0,
        is_reply=is_reply,
        is_patch=bool(of_patch),
        has_number=number is not None,
        variant="resend" if "resend" in text.lower() else "",
    )
