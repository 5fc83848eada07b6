# SPDX-License-Identifier: MIT
"""Decodes the charsets of mails, and makes text safe for one line of output."""

from __future__ import annotations

import codecs
import re

__all__ = ["clean", "decode_text", "to_bytes"]

_MAX_SOURCE, _MAX_TEXT = 8192, 300
_UNPRINTABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+"
)
# Python has codecs that take quadratic time (punycode), or that are no charset.
_CHARSETS = (
    *("iso8859", "cp", "utf-16", "utf-32", "koi8", "mac-", "gb", "big5", "euc", "shift", "iso2022"),
    *("hz", "tis", "ptcp", "johab"),
)


def clean(text: str) -> str:
    """Text for one line of output: no control characters, not too long."""
    text = " ".join(_UNPRINTABLE.sub(" ", text[:_MAX_SOURCE]).split())
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}..."


def decode_text(data: bytes, charset: str = "") -> tuple[str, str]:
    """Decode by byte-order mark or ``charset``; returns the text and a note, or an empty one.

    Bytes that are not UTF-8 survive in a text that should be.
    """
    for mark, name in ((codecs.BOM_UTF8, ""), (codecs.BOM_UTF16_LE, "utf-16"),
                       (codecs.BOM_UTF16_BE, "utf-16")):  # fmt: skip
        if data.startswith(mark):
            data, charset = (data, name) if name else (data[len(mark) :], "utf-8")
            break
    try:
        known = codecs.lookup(charset or "utf-8").name
        if known not in ("utf-8", "ascii") and known.startswith(_CHARSETS):
            return data.decode(known, "strict").removeprefix("\ufeff"), ""
    except (LookupError, ValueError, AttributeError, TypeError):
        note = f"took a text for UTF-8 that claims the charset {clean(charset)!a}"
        return data.decode("utf-8", "surrogateescape"), note
    return data.decode("utf-8", "surrogateescape"), ""


def to_bytes(text: str) -> bytes:
    """UTF-8, or the original bytes where a text was not UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
